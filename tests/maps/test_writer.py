# SPDX-License-Identifier: MIT
"""Maps on disk: a kill or a full disk leaves the old map or the new one."""

import os
from pathlib import Path
import subprocess
import sys
import threading
import time

from killer import moments, running_killer
from map_helpers import IDENTITY, some_features, some_map, some_place
import numpy as np
import pytest

from selavpr_model.config import MapConfig
from selavpr_model.errors import MapNotFoundError, MapSpaceError
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map, save_map

from where import TESTS


@pytest.fixture(scope='module')
def killer():
    with running_killer() as it:
        yield it


# ---------------------------------------------------------------- no space, no memory


def test_a_folder_that_cannot_be_written_gives_a_space_error(tmp_path):
    (tmp_path / 'file').write_text('x')
    for path in (tmp_path / 'file' / 'map', Path('/proc/selavpr/map'), tmp_path / ('x' * 300)):
        with pytest.raises(MapSpaceError, match='cannot be written'):
            save_map(some_map(2), path)


def limited(body: str, path: Path, *prefix: str) -> subprocess.CompletedProcess:
    """Run `body` in a process of its own, with `path`, the helpers and the errors at hand."""
    script = (
        'import os, resource, signal, subprocess, sys\n'
        'from map_helpers import *\n'
        'from selavpr_model.errors import *\n'
        'from selavpr_model.maps.storage.store import open_map, save_map\n'
        'path = Path(sys.argv[1])\n'
    )
    return subprocess.run(
        [*prefix, sys.executable, '-c', script + body, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, 'PYTHONPATH': f'{TESTS}:{Path.cwd()}'},
    )


def test_when_the_space_ends_in_the_middle_the_old_map_stays(tmp_path):
    save_map(some_map(4), tmp_path / 'map')
    done = limited(
        'new = some_map(200)\n'
        'signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n'
        'try:\n    save_map(new, path, overwrite=True)\n'
        'except MapSpaceError as error:\n    print(error)\n',
        tmp_path / 'map',
    )
    assert 'cannot be written' in done.stdout and 'free some space' in done.stdout, done.stderr
    assert len(open_map(tmp_path / 'map')) == 4
    assert len(list(tmp_path.glob('map/data-*'))) == 1, 'the unfinished files are gone'


OWN_MOUNTS = ('unshare', '--map-root-user', '--mount')


def test_a_real_disk_that_is_full_and_one_that_is_read_only(tmp_path):
    try:
        subprocess.run([*OWN_MOUNTS, 'mount', '-t', 'tmpfs', 'none', str(tmp_path)], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f'this system allows no mounts of our own: {error}')
    done = limited(
        'def mount(*options):\n'
        '    subprocess.run(["mount", *options, str(path)], check=True)\n'
        'def save(places):\n'
        '    try:\n        save_map(some_map(places), path / "map", overwrite=True)\n'
        '    except MapSpaceError as error:\n        print(error)\n'
        '    print(len(open_map(path / "map")))\n'
        'mount("-t", "tmpfs", "-o", "size=300k", "none")\n'
        'save(4)\n'
        'save(200)\n'
        'mount("-o", "remount,ro")\n'
        'save(5)\n',
        tmp_path,
        *OWN_MOUNTS,
    )
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.isdigit()] == ['4', '4', '4'], done.stderr
    assert len(lines) == 5 and 'MB are free; free some space' in lines[1], lines
    assert 'Read-only file system; choose a folder that can be written' in lines[3], lines


def test_a_map_that_does_not_fit_into_memory_gives_a_memory_error(tmp_path):
    wide = IDENTITY.__class__('ab' * 32, 'wide', 2_000_000, (1, 1, 4))
    made = PlaceMap.empty(wide, MapConfig(thumbnail_px=0))
    vector = np.zeros(2_000_000, np.float32)
    vector[0] = 1
    local = np.zeros((1, 1, 4), np.float32)
    for i in range(8):
        made.add(some_features(0).__class__(vector, local), some_place(i))
    save_map(made, tmp_path / 'map')
    done = limited(
        'import faiss\n'
        'used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()\n'
        'limit = used + 90_000_000\n'
        'resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n'
        'try:\n    open_map(path)\n'
        'except MapMemoryError as error:\n    print(error)\n',
        tmp_path / 'map',
    )
    assert 'does not fit into memory' in done.stdout, done.stderr


# ---------------------------------------------------------------- kill -9, and readers


def seed_of(path: Path) -> int:
    """Which map lies there, all of it verified."""
    place_map = open_map(path, IDENTITY)
    assert len(place_map) == 20
    return place_map.source['seed']


def test_killed_before_any_file_operation_of_a_save_the_old_or_the_new_map_loads(killer, tmp_path):
    path = tmp_path / 'map'
    save_map(some_map(20, seed=0), path)
    seen = []
    for operation in range(1, 200):
        killed = killer.run('save', path, operation=operation, seed=operation)
        seen.append(seed_of(path))
        assert seen[-1] in (operation, max([0, *seen[:-1]]))
        assert len(list(path.glob('data-*'))) == 1, 'leftovers are removed by opening'
        if not killed:
            break
    assert not killed and operation > 10, 'the last save was to run to its end'
    assert 0 in seen and operation - 1 in seen, 'kills were to hit before and after the switch'


def test_killed_before_any_file_operation_of_the_first_save_there_is_no_map_or_a_whole_one(
    killer,
    tmp_path,
):
    results = []
    for operation in range(1, 200):
        path = tmp_path / f'map{operation}'
        killed = killer.run('save', path, operation=operation, seed=3)
        try:
            results.append(seed_of(path))
        except MapNotFoundError:
            results.append(None)
            save_map(some_map(20, seed=3), path)  # without overwrite: nothing was there
            assert seed_of(path) == 3
        if not killed:
            break
    assert not killed and set(results) == {None, 3}


def test_killed_20_times_at_random_moments_of_saving_the_old_or_the_new_map_loads(
    killer, tmp_path
):
    path = tmp_path / 'map'
    save_map(some_map(20, seed=0), path)
    manifest = path / 'manifest.json'
    for i, after_s in enumerate(moments(20, 0.0, 0.1, seed=5), 1):
        assert killer.run('saves', path, after_s, changed=manifest, seed=10 * i)
        assert seed_of(path) in (10 * i, 10 * i + 1)


def test_readers_never_fail_while_the_map_is_replaced(tmp_path):
    path = tmp_path / 'map'
    save_map(some_map(20, seed=0), path)
    stop = threading.Event()
    writer = some_map(20, seed=1)

    def write() -> None:
        while not stop.is_set():
            save_map(writer, path, overwrite=True)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        end = time.monotonic() + 2
        opened = 0
        while time.monotonic() < end or opened < 10 or writer.revision < 10:
            assert seed_of(path) in (0, 1)
            opened += 1
    finally:
        stop.set()
        thread.join()
