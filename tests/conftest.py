# SPDX-License-Identifier: MIT
"""Shared by all tests: a ROS domain of our own, the data at hand, a real model and a small map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import math
import os
from pathlib import Path
import shutil
from typing import Any

from domain import own_domain
from hypothesis import settings
import pytest

from where import LIVE, ROOT, SHARED, SLOW, TESTS

# Before anything imports rclpy: tests that run at once must not hear each other.
os.environ['ROS_DOMAIN_ID'] = str(own_domain())
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch, as share_cores does
os.environ.setdefault('ROS_LOG_DIR', str(ROOT / 'build' / 'ros_log'))
settings.register_profile('ours', deadline=None)  # a busy machine is no fault
settings.load_profile('ours')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What `make quick` leaves out, and what runs alone."""
    for mark, names in ((pytest.mark.slow, SLOW), (pytest.mark.live, LIVE)):
        for item in items:
            if any(item.path.is_relative_to(TESTS / name) for name in names):
                item.add_marker(mark)


@pytest.fixture(scope='session')
def shared_data() -> Callable[[str], Path]:
    """shared_data('campus_gray') -> its folder; skips where that data is not at hand."""

    def folder(name: str) -> Path:
        path = SHARED / name
        if not path.is_dir():
            pytest.skip(f'{path} is not here (see CONTRIBUTING.md)')
        return path

    return folder


@pytest.fixture(scope='session')
def extractor() -> Any:
    """The real pre-trained backbone."""
    import torch

    from selavpr_model.config import ExtractorConfig
    from selavpr_model.features.extractor import load_extractor

    torch.set_num_threads(2)
    return load_extractor(ExtractorConfig(precision='fp32'))


@pytest.fixture(scope='session')
def street() -> list[Any]:
    """Twelve places of the demo's summer run as Frames with poses, far apart from each other."""
    from selavpr_ros.bags.reader import BagFrames

    frames = list(BagFrames(ROOT / 'demo' / 'summer'))
    return frames[: len(frames) * 7 // 8 : len(frames) // 14][:12]  # the loop closes at the end


@pytest.fixture(scope='session')
def street_map(
    extractor: Any, street: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A map of `street`, built by the real model."""
    from selavpr_model.maps.building.builder import build_map

    out = tmp_path_factory.mktemp('maps') / 'street'
    build_map(street, extractor, out, source={'path': 'street'}, progress=False)
    return out


@pytest.fixture(scope='session')
def summer() -> list[Any]:
    """The first frames of the demo's summer drive, with odometry and true poses."""
    from selavpr_ros.bags.reader import BagFrames

    return list(BagFrames(ROOT / 'demo' / 'summer', pose_topic='/ground_truth/pose'))[:80]


@pytest.fixture(scope='session')
def evening(summer: list[Any]) -> list[Any]:
    """A later drive between the places of `summer_map`, in another light, without poses."""
    from map_helpers import in_the_evening

    return [in_the_evening(frame) for frame in summer[1::2]]


@pytest.fixture(scope='session')
def model(extractor: Any) -> Any:
    """The real extractor, which looks at each image once."""
    from map_helpers import Remembering

    return Remembering(extractor)


@pytest.fixture(scope='session')
def summer_map(
    extractor: Any, summer: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A map of every second frame of `summer`."""
    from selavpr_model.maps.building.builder import build_map

    out = tmp_path_factory.mktemp('maps') / 'summer'
    build_map(summer[::2], extractor, out, source={'session': 'summer'}, progress=False)
    return out


@pytest.fixture(scope='session')
def ros() -> Iterator[None]:
    """rclpy for the whole session."""
    import rclpy

    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope='module')
def robot(ros: None, street_map: Path) -> Iterator[Any]:
    """On the street, and patient with the camera; a module may put its own in its place."""
    from robot import Robot

    with Robot(map=str(street_map), no_image_after_s=600.0) as robot:
        yield robot.until_active()


@pytest.fixture(scope='module')
def camera(robot: Any) -> Any:
    return robot.camera()


@pytest.fixture(scope='session')
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map nobody writes to."""
    from map_helpers import some_map

    from selavpr_model.maps.storage.store import save_map

    path = tmp_path_factory.mktemp('sound') / 'map'
    save_map(some_map(8), path)
    return path


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    """The same, to be damaged."""
    return Path(shutil.copytree(sound, tmp_path / 'map'))


@pytest.fixture
def rescued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where maps go that have no other place."""
    monkeypatch.setenv('SELAVPR_HOME', str(tmp_path / 'home'))
    return tmp_path / 'home' / 'rescued'


@pytest.fixture(scope='module')
def quick() -> Iterator[None]:
    """Torch on one thread."""
    from map_helpers import one_torch_thread

    with one_torch_thread():
        yield


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds keep their work after every 8 places, however slow this machine is."""
    monkeypatch.setattr('selavpr_model.maps.building.builder.CHUNK_PLACES', 8)
    monkeypatch.setattr('selavpr_model.maps.building.builder.CHUNK_SECONDS', math.inf)
