# SPDX-License-Identifier: MIT
"""Building that was stopped or killed goes on and ends with the same map as without."""

from pathlib import Path

from killer import moments, running_killer
from map_helpers import (
    array_bytes,
    build,
    build_drive,
    CheapExtractor,
    Drive,
    IDENTITY,
    some_map,
)
import pytest

from selavpr_model.config import KeyframeConfig, MapConfig
from selavpr_model.errors import MapNotFoundError, SourceError
from selavpr_model.maps.building import builder
from selavpr_model.maps.storage.store import open_map, save_map

pytestmark = pytest.mark.usefixtures('small_chunks', 'quick')


@pytest.fixture(scope='module')
def killer():
    with running_killer() as it:
        yield it


@pytest.fixture(scope='module')
def whole(tmp_path_factory) -> dict[str, str]:
    """The files of a build that nothing interrupted."""
    return array_bytes(build_drive(tmp_path_factory.mktemp('whole') / 'map'))


class Stopping(CheapExtractor):
    """Fails like a machine that goes down, after so many batches."""

    def __init__(self, batches: int, **more) -> None:
        super().__init__(**more)
        self.batches = batches

    def extract_batch(self, images):
        if self.batches == 0:
            raise KeyboardInterrupt
        self.batches -= 1
        return super().extract_batch(images)


def stop_after(batches: int, out: Path, **more) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(out, Stopping(batches), **more)


# ---------------------------------------------------------------- going on


def test_frames_that_can_only_be_iterated_give_the_same_map(tmp_path, whole):
    good = [frame for i, frame in enumerate(Drive(60)) if i not in (5, 17)]

    class Bag:
        def __init__(self):
            self.dropped = {'undecodable': 2}

        def __iter__(self):
            return iter(good)

    stop_after(5, tmp_path / 'map', frames=Bag())
    place_map = build(tmp_path / 'map', frames=Bag())
    assert array_bytes(place_map) == whole and place_map.source['skipped'] == 2


@pytest.mark.parametrize('batches', [0, 1, 2, 3, 5, 7])
def test_a_stopped_build_goes_on_and_gives_the_same_arrays(tmp_path, whole, batches):
    out = tmp_path / 'map'
    stop_after(batches, out)
    with pytest.raises(MapNotFoundError):
        open_map(out)
    second = CheapExtractor()
    place_map = build(out, second)
    assert array_bytes(place_map) == whole
    kept = 8 * (4 * batches // 8)
    assert second.extracted == 30 - kept, 'finished chunks are not extracted again'
    assert place_map.source['skipped'] == 2


def test_slow_extraction_is_kept_after_each_batch(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(builder, 'CHUNK_SECONDS', 0.0)
    stop_after(3, tmp_path / 'map')
    extractor = CheapExtractor()
    assert array_bytes(build(tmp_path / 'map', extractor)) == whole
    assert extractor.extracted == 30 - 3 * 4


def test_a_build_can_be_stopped_again_and_again(tmp_path, whole):
    for _ in range(3):
        stop_after(2, tmp_path / 'map')
    last = CheapExtractor()
    assert array_bytes(build(tmp_path / 'map', last)) == whole
    assert last.extracted == 6


@pytest.mark.parametrize(
    'change',
    [
        {'source': {'type': 'other'}},
        {'keyframes': KeyframeConfig(distance_m=2.0)},
        {'config': MapConfig(local_dtype='tiny')},
        {'frames': Drive(58)},
    ],
)
def test_another_source_or_setting_starts_anew_and_says_so(tmp_path, caplog, change):
    stop_after(4, tmp_path / 'map')
    extractor = CheapExtractor()
    place_map = build(tmp_path / 'map', extractor, **change)
    assert 'starting anew' in caplog.text and extractor.extracted == len(place_map)


def test_source_files_that_changed_start_anew(tmp_path):
    (tmp_path / 'images').mkdir()
    image = tmp_path / 'images' / '0.jpg'
    image.write_bytes(b'summer')
    source = {'path': str(tmp_path / 'images')}
    for content, extracted in (('summer', 30 - 16), ('winter', 30)):
        stop_after(4, tmp_path / content, source=source)
        if content == 'winter':
            image.write_bytes(b'winter')
        extractor = CheapExtractor()
        build(tmp_path / content, extractor, source=source)
        assert extractor.extracted == extracted


def test_another_model_or_batch_size_starts_anew(tmp_path):
    stop_after(4, tmp_path / 'map')
    other = CheapExtractor(batch_size=3)
    assert len(build(tmp_path / 'map', other)) == other.extracted == 30
    stop_after(4, tmp_path / 'second')
    third = CheapExtractor()
    third.identity = IDENTITY.__class__('00' * 32, 'other', 32, IDENTITY.local_shape)
    assert build(tmp_path / 'second', third).identity.weights == 'other'
    assert third.extracted == 30


@pytest.mark.parametrize('damage', ['chunk', 'plan'])
def test_a_damaged_work_folder_costs_time_but_not_the_map(tmp_path, whole, damage):
    out = tmp_path / 'map'
    stop_after(6, out)
    work = tmp_path / 'map.building'
    if damage == 'chunk':
        next(work.glob('chunk-000001/data-*/local.npy')).write_bytes(b'half')
    else:
        (work / 'plan.json').write_text('{"plan": ')
    second = CheapExtractor()
    assert array_bytes(build(out, second)) == whole
    assert second.extracted == (22 if damage == 'chunk' else 30)


def test_killed_between_saving_and_tidying_the_next_call_only_tidies(tmp_path, monkeypatch):
    out = tmp_path / 'map'
    with monkeypatch.context() as patch:
        patch.setattr(builder.WorkFolder, 'remove', lambda self: None)
        first = build(out)
    assert (tmp_path / 'map.building').exists()
    extractor = CheapExtractor()
    again = build(out, extractor)
    assert extractor.extracted == 0 and again.map_id == first.map_id
    assert not (tmp_path / 'map.building').exists()


def test_an_error_of_the_source_keeps_what_was_done(tmp_path, whole):
    class Unplugged(Drive):
        def __getitem__(self, index):
            if index == 40:
                raise SourceError('disk: gone; plug it in')
            return super().__getitem__(index)

    with pytest.raises(SourceError):
        build(tmp_path / 'map', frames=Unplugged(60, broken=(5, 17)))
    extractor = CheapExtractor()
    assert array_bytes(build(tmp_path / 'map', extractor)) == whole
    assert extractor.extracted == 14


# ---------------------------------------------------------------- kill -9


def is_old_or_new(out: Path, whole: dict[str, str]) -> str:
    place_map = open_map(out, IDENTITY)
    if place_map.source['type'] == 'test' and len(place_map) == 4:
        return 'old'
    assert array_bytes(place_map) == whole
    return 'new'


def test_killed_20_times_at_random_moments_the_build_ends_with_the_same_map(
    killer, tmp_path, whole
):
    """As the issue wants it: kill -9 during `map build`, over an existing map."""
    out = tmp_path / 'map'
    save_map(some_map(4), out)
    states = []
    for after_s in moments(20, 0.02, 0.6, seed=11):
        killed = killer.run('build', out, after_s, seconds=0.02)
        states.append(is_old_or_new(out, whole))
        if states[-1] == 'new':  # start over
            save_map(some_map(4), out, overwrite=True)
        assert killed or states[-1] == 'new'
    assert not killer.run('build', out, seconds=0.0)
    assert is_old_or_new(out, whole) == 'new'
    assert 'old' in states
    assert [p.name for p in tmp_path.iterdir()] == ['map']


def test_killed_before_many_file_operations_each_next_build_goes_on(killer, tmp_path, whole):
    out = tmp_path / 'map'
    save_map(some_map(4), out)
    kills = 0
    while killer.run('build', out, operation=33, seconds=0.0):
        kills += 1
        assert is_old_or_new(out, whole) in ('old', 'new')
        assert kills < 20, 'every attempt is to get further than the one before'
    assert kills >= 2 and is_old_or_new(out, whole) == 'new'
    assert [p.name for p in tmp_path.iterdir()] == ['map']


def test_killed_before_any_file_operation_around_the_end_of_a_build(killer, tmp_path, whole):
    """The last chunk, the save over the old map, and the tidying."""
    for operation in range(1, 200, 9):
        out = tmp_path / f'map{operation}'
        save_map(some_map(4), out)
        stop_after(7, out, overwrite=True)
        killed = killer.run('build', out, operation=operation, seconds=0.0)
        assert is_old_or_new(out, whole) in ('old', 'new')
        if not killed:
            break
        assert not killer.run('build', out, seconds=0.0)
        assert is_old_or_new(out, whole) == 'new'
        assert not out.with_name(out.name + '.building').exists()
    assert not killed and operation > 20
