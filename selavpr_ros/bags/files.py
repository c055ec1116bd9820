# SPDX-License-Identifier: MIT
"""The files of a recording: found with or without metadata.yaml, told apart by their bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePath
import re
from tempfile import TemporaryDirectory

import yaml

from selavpr_ros.bags.storage import mcap, ros1, sqlite
from selavpr_ros.bags.storage.compression import DamagedError, unpack_file, ZSTD_MAGIC

METADATA = 'metadata.yaml'
MAX_METADATA = 16 << 20
FILES = re.compile(r'relative_file_paths:( *\[[^\]\n]{,9999}\]|(?:\n *- [^\n]{,999}){1,9999})')
SUFFIXES = ('.mcap', '.db3', '.bag', '.active')
Storage = mcap.McapFile | sqlite.SqliteFile | ros1.Ros1File
KINDS: dict[bytes, Callable[[Path], Storage]] = {
    mcap.MAGIC: mcap.McapFile,
    sqlite.MAGIC: sqlite.SqliteFile,
    ros1.MAGIC: ros1.Ros1File,
}


def is_bag(path: Path) -> bool:
    """Whether the path is a recording's file, or a folder with one or with its metadata."""
    if path.is_dir():
        return bool(bag_files(path)) or 'rosbag2_bagfile_information' in _text(path / METADATA)
    return _is_named(path)


def _is_named(path: Path) -> bool:
    suffixes = path.suffixes[-2:]
    return bool(suffixes) and (
        suffixes[-1] in SUFFIXES
        or (suffixes[-1] == '.zstd' and len(suffixes) == 2 and suffixes[0] in SUFFIXES)
    )


def bag_files(folder: Path) -> list[Path]:
    """Recordings in a folder, in the order in which a recorder numbers them."""
    found = [p for p in folder.glob('*') if _is_named(p) and p.is_file()]
    # a split that is there compressed and not compressed is one
    plain = {p.name for p in found}
    found = [p for p in found if not (p.suffix == '.zstd' and p.stem in plain)]
    return sorted(found, key=lambda p: ([int(n) for n in re.findall(r'\d{1,18}', p.name)], p.name))


def _text(path: Path) -> str:
    try:
        with path.open('rb') as file:
            return file.read(MAX_METADATA).decode(errors='replace')
    except OSError:
        return ''


def find(path: Path) -> tuple[list[Path], list[str]]:
    """(files, what people should know): those that metadata.yaml lists, else all there are."""
    if not path.is_dir():
        return [path], []
    there = bag_files(path)
    if not (path / METADATA).is_file():
        missing = f'no {METADATA}; `ros2 bag reindex {path}` writes it'
        return there, [missing] if any(p.suffix != '.bag' for p in there) else []
    try:
        listed = _listed(_text(path / METADATA))
    except Exception as error:  # YAML of any kind and shape may stand there
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        return there, [f'{METADATA} is damaged ({reason}); `ros2 bag reindex {path}` mends it']
    files = [p for name in listed if (p := _one_of(path, name)) is not None]
    lost = len(listed) - len(files)
    return files or there, [f'{lost} of {len(listed)} files are missing'] if lost else []


def _listed(text: str) -> list[str]:
    found = FILES.search(text)  # the rest may be of any version and size
    names = yaml.safe_load(found[1]) if found else None
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ValueError('it has no list relative_file_paths')
    return [PurePath(name).name for name in names]


def _one_of(folder: Path, name: str) -> Path | None:
    """The file as it is listed, or with its compression taken off or put on."""
    plain = name.removesuffix('.zstd')
    paths = (folder / n for n in (name, plain, f'{plain}.zstd'))
    return next((path for path in paths if path.is_file()), None)


def opened(files: list[Path], stack: ExitStack) -> Iterator[tuple[Path, Storage | DamagedError]]:
    """Each file open until the stack ends, or what is wrong with it."""
    for path in files:
        try:
            storage = _open(path, stack)
            stack.callback(storage.close)
            yield path, storage
        except (DamagedError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            yield path, DamagedError(reason or str(error))


def _open(path: Path, stack: ExitStack) -> Storage:
    if not path.is_file():
        raise DamagedError('it is no file')
    with path.open('rb') as file:
        head = file.read(64)
    if head.startswith(ZSTD_MAGIC):  # compressed as a whole
        plain = Path(stack.enter_context(TemporaryDirectory()), path.stem)
        unpack_file(path, plain)
        with plain.open('rb') as file:
            head, path = file.read(64), plain
    for magic, kind in KINDS.items():
        if head.startswith(magic):
            return kind(path)
    raise DamagedError(foreign(head))


def foreign(head: bytes) -> str:
    """What a file is that is no recording, by its first bytes."""
    if not head:
        return 'the file is empty'
    if head.startswith(b'version https://git-lfs'):
        return 'it is a pointer of Git LFS, not the file; run `git lfs pull`'
    if head.lstrip()[:9].lower().startswith((b'<!doctype', b'<html')):
        return 'it is a web page, not the file; download it again'
    if head.startswith(b'#ROSBAG V'):
        return f'it is a ROS 1 bag of another version, {head[8:12]!r}; try `rosbag fix`'
    return f'it begins with {head[:8]!r}, which is none of mcap, sqlite3 and ROS 1'


def cure(path: Path) -> str:
    """What mends a damaged file of this name."""
    name = path.name.removesuffix('.zstd')
    if name.endswith('.db3'):
        return sqlite.CURE
    return ros1.CURE if name.endswith(('.bag', '.active')) else mcap.CURE
