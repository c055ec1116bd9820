# SPDX-License-Identifier: MIT
"""One small recording of each kind that is read, and how its files get damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import json
import math
from pathlib import Path

from folder_helpers import folder
import numpy as np
from rtabmap_helpers import database, mono
from scipy.spatial.transform import Rotation
from sequence_helpers import binary_model, exif_jpeg

from selavpr_model.poses import inverse, pose_matrix, position_quaternion

NAMES = ['000000.png', '000001.png', '000002.png', '000003.png']
STAMPS = [1700000000_000000000 + k * 10**9 for k in range(4)]
POSES = [pose_matrix((k + 0.25, 2 * k, -k), (0.1 * k, -0.2, 0.3, 0.9)) for k in range(4)]
FLAT = [pose_matrix((k + 0.25, 2 * k, 0.5), (0.5, -0.5, 0.5, -0.5)) for k in range(4)]
"""Of a camera that looks along x."""
Made = tuple[Path, str, list[np.ndarray]]
"""The path that a user gives, the table of poses ('' for none), and the poses in order."""


def xyzw(pose: np.ndarray, mark: str = ' ') -> str:
    return mark.join(f'{v:.9f}' for v in position_quaternion(pose))


def wxyz(pose: np.ndarray, mark: str = ' ') -> str:
    """qw qx qy qz x y z."""
    x, y, z, qx, qy, qz, qw = position_quaternion(pose)
    return mark.join(f'{v:.9f}' for v in (qw, qx, qy, qz, x, y, z))


def lines(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(rows) + '\n')


def matrix(pose: np.ndarray) -> str:
    return '\n'.join(' '.join(f'{v:.9f}' for v in row) for row in pose) + '\n'


def seven_scenes(path: Path) -> Made:
    folder(path, *(f'frame-{k:06d}.color.png' for k in range(4)))
    for k, pose in enumerate(POSES):
        (path / f'frame-{k:06d}.pose.txt').write_text(matrix(pose))
    return path, '', POSES


def scannet(path: Path) -> Made:
    folder(path / 'color', *(f'{k}.jpg' for k in range(4)))
    for k, pose in enumerate(POSES):
        lines(path / 'pose' / f'{k}.txt', matrix(pose))
    return path, '', POSES


def tum(path: Path) -> Made:
    names = [f'{s // 10**9}.000000.png' for s in STAMPS]
    folder(path / 'rgb', *names)
    lines(path / 'rgb.txt', '# color', *(f'{n[:-4]} rgb/{n}' for n in names))
    rows = [f'{n[:-4]} {xyzw(p)}' for n, p in zip(names, POSES, strict=True)]
    lines(path / 'groundtruth.txt', '# ground truth', *rows)
    return path, '', POSES


def kitti(path: Path) -> Made:
    folder(path / 'sequences' / '00' / 'image_0', *NAMES)
    rows = [' '.join(f'{v:.6e}' for v in p[:3].reshape(-1)) for p in POSES]
    lines(path / 'poses' / '00.txt', *rows)
    return path / 'sequences' / '00', '', POSES


def numbered_tum(path: Path) -> Made:
    """Frame numbers, times.txt, and a trajectory by time."""
    folder(path / 'image_0', *NAMES)
    lines(path / 'times.txt', *(f'{k}.5' for k in range(4)))
    rows = [f'{k}.5 {xyzw(p)}' for k, p in enumerate(POSES)]
    lines(path / 'traj.txt', *rows)
    return path / 'image_0', str(path / 'traj.txt'), POSES


def euroc(path: Path) -> Made:
    mav = path / 'mav0'
    folder(mav / 'cam0' / 'data', *(f'{s}.png' for s in STAMPS))
    data = ', '.join(map(str, np.eye(4).reshape(-1)))
    lines(mav / 'cam0' / 'sensor.yaml', 'T_BS:', '  cols: 4', '  rows: 4', f'  data: [{data}]')
    head = (
        '#timestamp, p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], '
    )
    rows = []
    for stamp, pose in zip(STAMPS, POSES, strict=True):
        cells = wxyz(pose, ',').split(',')
        rows.append(','.join((str(stamp), *cells[4:], *cells[:4])))
    lines(mav / 'state_groundtruth_estimate0' / 'data.csv', f'{head}q_RS_z []', *rows)
    return path, '', POSES


def nclt(path: Path) -> Made:
    folder(path / 'lb3' / 'Cam5', *(f'{s // 1000}.png' for s in STAMPS))
    rows = [
        f'{s // 1000},{p[1, 3]:.6f},{p[0, 3]:.6f},{-p[2, 3]:.6f},0,0,{math.pi / 2:.9f}'
        for s, p in zip(STAMPS, FLAT, strict=True)
    ]
    lines(path / 'groundtruth_2012-01-08.csv', *rows)
    return path, '', FLAT


def robotcar(path: Path) -> Made:
    folder(path / 'stereo' / 'centre', *(f'{s // 1000}.png' for s in STAMPS))
    head = 'timestamp,ins_status,northing,easting,down,roll,pitch,yaw'
    first = FLAT[0][:3, 3]
    rows = [
        f'{s // 1000},GOOD,{p[1, 3]:.6f},{p[0, 3]:.6f},{-p[2, 3]:.6f},0,0,{math.pi / 2:.9f}'
        for s, p in zip(STAMPS, FLAT, strict=True)
    ]
    lines(path / 'gps' / 'ins.csv', head, *rows)
    moved = [p.copy() for p in FLAT]
    for pose in moved:
        pose[:3, 3] -= first
    return path, '', moved


def colmap_text(path: Path) -> Made:
    folder(path / 'images', *NAMES)
    rows = [
        f'{k + 1} {wxyz(inverse(p))} 1 {n}\n1.5 2.5 -1'
        for k, (n, p) in enumerate(zip(NAMES, POSES, strict=True))
    ]
    lines(path / 'sparse' / '0' / 'images.txt', '# Image list', *rows)
    lines(path / 'sparse' / '0' / 'cameras.txt', '1 PINHOLE 32 24 30 30 16 12')
    return path, '', POSES


def colmap_binary(path: Path) -> Made:
    folder(path / 'images', *NAMES)
    binary_model(path / 'sparse' / '0', NAMES, POSES, (32, 24), [30, 16, 12, 0.01])
    return path, '', POSES


def kapture(path: Path) -> Made:
    sensors = path / 'sensors'
    folder(sensors / 'records_data', *NAMES)
    lines(sensors / 'records_camera.txt', '# kapture format: 1.1',
          *(f'{s}, cam, {n}' for s, n in zip(STAMPS, NAMES, strict=True)))  # fmt: skip
    lines(sensors / 'trajectories.txt', '# timestamp, device_id, qw, qx, qy, qz, tx, ty, tz',
          *(f'{s}, cam, {wxyz(inverse(p), ", ")}'
            for s, p in zip(STAMPS, POSES, strict=True)))  # fmt: skip
    return path, '', POSES


def nerfstudio(path: Path) -> Made:
    folder(path / 'images', *NAMES)
    axes = np.diag([1.0, -1, -1, 1])
    frames = [
        {'file_path': f'images/{n}', 'transform_matrix': (p @ axes).tolist()}
        for n, p in zip(NAMES, POSES, strict=True)
    ]
    (path / 'transforms.json').write_text(
        json.dumps({'w': 32, 'h': 24, 'frames': frames}, indent=1)
    )
    return path, '', POSES


def opensfm(path: Path) -> Made:
    folder(path / 'images', *NAMES)
    shots = {}
    for name, pose in zip(NAMES, POSES, strict=True):
        back = inverse(pose)
        turn = Rotation.from_matrix(back[:3, :3]).as_rotvec().tolist()
        shots[name] = {'rotation': turn, 'translation': back[:3, 3].tolist()}
    (path / 'reconstruction.json').write_text(json.dumps([{'shots': shots}], indent=1))
    return path, '', POSES


def rtabmap(path: Path) -> Made:
    path.mkdir(parents=True)
    level = np.eye(4)[:3].astype(np.float32).tobytes()  # the camera sits at the base
    return database(path / 'rtabmap.db', mono(local=level), poses=POSES), '', POSES


def table(head: str, row: Callable[[str, np.ndarray], str], poses: list[np.ndarray]):
    def make(path: Path) -> Made:
        folder(path, *NAMES)
        rows = [row(n, p) for n, p in zip(NAMES, poses, strict=True)]
        lines(path / 'poses.csv', *filter(None, (head,)), *rows)
        return path, '', poses

    return make


def geotagged(path: Path) -> Made:
    for k, name in enumerate(NAMES):
        exif_jpeg(path / name.replace('png', 'jpg'), (52.5 + k / 1000, 13.4, 30.0), 90.0)
    poses = [FLAT[0].copy() for _ in NAMES]
    for k, pose in enumerate(poses):
        pose[:3, 3] = (0, 111.2773 * k, 0)
    return path, '', poses


MAKERS: dict[str, Callable[[Path], Made]] = {
    'seven_scenes': seven_scenes, 'scannet': scannet, 'tum': tum, 'kitti': kitti,
    'numbered_tum': numbered_tum, 'euroc': euroc, 'nclt': nclt, 'robotcar': robotcar,
    'colmap_text': colmap_text, 'colmap_binary': colmap_binary, 'kapture': kapture,
    'nerfstudio': nerfstudio, 'opensfm': opensfm, 'rtabmap': rtabmap, 'geotagged': geotagged,
    'csv_quaternion': table('file,x,y,z,qx,qy,qz,qw', lambda n, p: f'{n},{xyzw(p, ",")}', POSES),
    'csv_yaw': table('', lambda n, p: f'{n},{p[0, 3]:.6f},{p[1, 3]:.6f},0.5,0', FLAT),
    'csv_heading': table('file;x;y;z;heading_deg',
                         lambda n, p: f'{n};{p[0, 3]:.6f};{p[1, 3]:.6f};0.5;90', FLAT),
    'hloc_results': table('', lambda n, p: f'{n} {wxyz(inverse(p))}', POSES),
}  # fmt: skip
FOREIGN = (
    b'', b'\n\n', b'\0' * 300, b'<!DOCTYPE html><html><body>404</body></html>',
    b'version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12345\n',
    b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR', b'PK\x03\x04' + bytes(range(256)), b'hello, world\n',
    b'a,b,c\n1,2,3\n', b'{"a": [1, 2', b'[]', b'{}', b'null', b'\xff\xfe1\0,\0', b'1e999 ' * 40,
    b'- {a: *b}\n', b'SQLite format 3\0' + b'\x10\0' * 60, b'nan ' * 12,
)  # fmt: skip


def tables(path: Path) -> list[Path]:
    """The files that are no images (of geotagged photographs: these)."""
    files = sorted(p for p in path.rglob('*') if p.is_file())
    others = [p for p in files if p.suffix not in ('.png', '.jpg')]
    return others or files


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Other bytes, as copies and downloads go wrong; digits are not replaced by others."""
    kind = rng.integers(6)
    text = b'\0' not in data[:4000] and data.isascii()
    if kind == 0:
        return FOREIGN[rng.integers(len(FOREIGN))]
    if kind == 1:  # cut, in texts behind a cell; what is left without a header behind a line
        marks = '\n' if data[:6].isdigit() else ' ,;\n'
        cuts = [i for i, c in enumerate(data) if not text or chr(c) in marks]
        return data[: cuts[rng.integers(len(cuts))]] if cuts else b''
    if kind == 2:  # a line is gone
        rows = data.split(b'\n')
        del rows[rng.integers(len(rows))]
        return b'\n'.join(rows)
    if kind == 3:  # a cell is gone, or is no number
        at = rng.integers(max(1, len(data)))
        junk = (b'', b' x ', b'\0', b'\xff', b'nan', b'#', b',', b'\n', b'"')[rng.integers(9)]
        end = min((i for i in (data.find(m, at) for m in b' ,;\n') if i >= 0), default=at + 1)
        start = max(data.rfind(m, 0, at) for m in b' ,;\n') + 1
        return data[:start] + junk + data[end:]
    if kind == 4:  # zeros, as of a disk that was full
        at = rng.integers(max(1, len(data)))
        return data[:at] + b'\0' * (len(data) - at)
    return data + data[: rng.integers(max(1, len(data)))]  # written twice


def cases(count: int) -> Iterator[tuple[str, int]]:
    """(name of a maker, seed), going round."""
    names = list(MAKERS)
    for k in range(count):
        yield names[k % len(names)], k
