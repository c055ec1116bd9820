# SPDX-License-Identifier: MIT
"""The places of a map as a model of COLMAP or as kapture: cameras and poses, no points."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from selavpr_model.errors import MapDataError
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.poses import inverse, position_quaternion
from selavpr_model.records import Camera, Place

logger = logging.getLogger(__name__)
GUESSED_FOCAL = 1.2
"""Focal length over the longer side, as COLMAP guesses it where nothing is known."""
DISTORTIONS = {'plumb_bob': ('OPENCV', 4), 'rational_polynomial': ('FULL_OPENCV', 8),
               'equidistant': ('OPENCV_FISHEYE', 4), 'fisheye': ('OPENCV_FISHEYE', 4)}  # fmt: skip


def image_name(place: Place) -> str:
    """Of the image that a place was made of; images of bags are named by their stamps."""
    return place.name or f'{place.stamp_ns}.jpg'


def write_colmap(folder: Path, place_map: PlaceMap) -> int:
    """cameras.txt, images.txt (world-to-camera) and an empty points3D.txt; the number of images.

    MapDataError where no place has a pose.
    """
    places = posed(place_map)
    cameras = _cameras(place_map)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f'{i} {_camera_words(c)}\n' for i, c in cameras.values()]
    (folder / 'cameras.txt').write_text(
        '# CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]\n' + ''.join(lines)
    )
    images = [
        f'{k} {_first_w(place)} {cameras[place.session][0]} {image_name(place)}\n\n'
        for k, place in enumerate(places, 1)
    ]
    head = '# Image list with two lines of data per image:\n'
    head += '# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME\n'
    (folder / 'images.txt').write_text(head + ''.join(images), encoding='utf-8')
    (folder / 'points3D.txt').write_text('# no points\n')
    return len(places)


def write_kapture(folder: Path, place_map: PlaceMap) -> int:
    """sensors/{sensors,records_camera,trajectories}.txt, world-to-device; the number of images."""
    places = posed(place_map)
    cameras = _cameras(place_map)
    sensors = folder / 'sensors'
    sensors.mkdir(parents=True, exist_ok=True)
    rows = {
        'sensors.txt': [
            f'cam{i}, {session or "camera"}, camera, {_camera_words(c).replace(" ", ", ")}'
            for session, (i, c) in cameras.items()
        ],
        'records_camera.txt': [
            f'{p.stamp_ns}, cam{cameras[p.session][0]}, {image_name(p)}' for p in places
        ],
        'trajectories.txt': [
            f'{p.stamp_ns}, cam{cameras[p.session][0]}, {_first_w(p).replace(" ", ", ")}'
            for p in places
        ],
    }
    for name, lines in rows.items():
        text = '\n'.join(['# kapture format: 1.1', *lines])
        (sensors / name).write_text(f'{text}\n', encoding='utf-8')
    return len(places)


def posed(place_map: PlaceMap) -> list[Place]:
    """Places with a pose in the map's frame."""
    places = [p for p in place_map.places if p.pose is not None and not place_map.frame_of(p)]
    if not places:
        raise MapDataError(
            f'{place_map.path}: expected places with poses, got none of {len(place_map)}; '
            'build the map with poses'
        )
    return places


def _cameras(place_map: PlaceMap) -> dict[str, tuple[int, Camera]]:
    """Session -> (id, camera); guessed where the map does not know it."""
    sessions = sorted({place.session for place in place_map.places})
    found = {}
    for i, session in enumerate(sessions, 1):
        camera = place_map.cameras.get(session)
        if camera is None:
            row = next(r for r, p in enumerate(place_map.places) if p.session == session)
            camera = _guessed(place_map.thumbnail(row))
            logger.warning(
                '%s: the camera of session %r is not known: a focal length is guessed for a '
                'picture of %d x %d pixels', place_map.path, session, *camera.size,
            )  # fmt: skip
        found[session] = i, camera
    return found


def _guessed(picture: np.ndarray | None) -> Camera:
    height, width = (480, 640) if picture is None else picture.shape[:2]
    focal = GUESSED_FOCAL * max(height, width)
    K = np.array([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])
    return Camera(K, np.zeros(0), (width, height))


def _camera_words(camera: Camera) -> str:
    model, count = DISTORTIONS.get(camera.model, ('OPENCV', 4))
    rest: np.ndarray = np.zeros(count)
    given = np.asarray(camera.distortion, np.float64).reshape(-1)
    if not given.any():
        model, rest = 'PINHOLE', rest[:0]
    elif given[count:].any():
        model, rest = 'FULL_OPENCV', np.zeros(8)
    rest[: len(given)] = given[: len(rest)]
    K = camera.K
    values = (K[0, 0], K[1, 1], K[0, 2], K[1, 2], *rest)
    width, height = camera.size
    return f'{model} {width} {height} {" ".join(f"{v:.9g}" for v in values)}'


def _first_w(place: Place) -> str:
    """qw qx qy qz tx ty tz of the world in the camera."""
    assert place.pose is not None
    x, y, z, qx, qy, qz, qw = position_quaternion(inverse(place.pose))
    return ' '.join(f'{v:.12g}' for v in (qw, qx, qy, qz, x, y, z))
