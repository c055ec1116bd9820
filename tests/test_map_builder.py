# SPDX-License-Identifier: MIT
"""Building: keyframes only, bad frames skipped, and after a kill the same map as without."""

import json
import math
from pathlib import Path

from map_helpers import (
    array_bytes,
    build_drive,
    CheapExtractor,
    Drive,
    IDENTITY,
    moments,
    one_torch_thread,
    running_killer,
    some_map,
)
import numpy as np
import pytest

from selavpr_model import map_builder
from selavpr_model.calibration import Calibration
from selavpr_model.config import ExtractorConfig, KeyframeConfig, MapConfig
from selavpr_model.errors import (
    MapBusyError,
    MapEmptyError,
    MapError,
    MapExistsError,
    MapNotFoundError,
    MapSpaceError,
    SourceError,
)
from selavpr_model.map_builder import build_map
from selavpr_model.map_writer import lock
from selavpr_model.place_map import PlaceMap
from selavpr_model.records import Features


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(map_builder, 'CHUNK_PLACES', 8)
    monkeypatch.setattr(map_builder, 'CHUNK_SECONDS', math.inf)  # however slow this machine is


@pytest.fixture(autouse=True, scope='module')
def quick():
    with one_torch_thread():
        yield


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


def build(out: Path, extractor=None, frames=None, **more) -> PlaceMap:
    options = {
        'keyframes': KeyframeConfig(distance_m=1.0),
        'config': MapConfig(thumbnail_px=16),
        'source': {'type': 'test', 'length': 60},
        'progress': False,
    }
    frames = Drive(60, broken=(5, 17)) if frames is None else frames
    return build_map(frames, extractor or CheapExtractor(), out, **{**options, **more})


def stop_after(batches: int, out: Path, **more) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(out, Stopping(batches), **more)


# ---------------------------------------------------------------- what is built


def test_only_keyframes_are_extracted_and_become_places(tmp_path):
    extractor = CheapExtractor()
    place_map = build(tmp_path / 'map', extractor)
    expected = [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20]
    assert [int(p.name[:4]) for p in place_map.places][:11] == expected
    assert extractor.extracted == len(place_map) == 30
    assert [p.id for p in place_map.places] == list(range(30))
    assert place_map.places[3].pose[0, 3] == pytest.approx(3.6)
    assert place_map.path == tmp_path / 'map'
    assert [p.name for p in tmp_path.iterdir()] == ['map'], 'the work folder is gone'


def test_the_map_says_how_it_was_made_and_what_it_measured(tmp_path):
    place_map = build(tmp_path / 'map')
    configs = place_map.manifest['configs']
    assert configs['keyframes']['distance_m'] == 1.0
    assert configs['extractor'] == CheapExtractor().config.to_dict()
    assert configs['storage']['thumbnail_px'] == 16 and 'recognizer' in configs
    assert place_map.source['length'] == 60 and place_map.source['frames'] == 60
    assert place_map.manifest['preprocessing'] == {'height': 56, 'width': 56}
    assert isinstance(place_map.calibration, Calibration)
    assert place_map.calibration == PlaceMap.open(tmp_path / 'map').calibration


def test_frames_that_cannot_be_read_are_skipped_counted_and_named(tmp_path, caplog):
    place_map = build(tmp_path / 'map')
    assert place_map.source['skipped'] == 2
    assert '0005.jpg' in caplog.text and '0017.jpg' in caplog.text


def test_frames_whose_features_are_not_finite_are_skipped(tmp_path, caplog):
    class Overflowing(CheapExtractor):
        def extract_batch(self, images):
            made = super().extract_batch(images)
            return [Features(f.global_ * np.float32(np.nan), f.local) for f in made[:1]] + made[1:]

    place_map = build(tmp_path / 'map', Overflowing())
    assert len(place_map) == 22 and place_map.source['skipped'] == 2 + 8
    assert 'not finite' in caplog.text
    assert [p.id for p in place_map.places] == list(range(22))


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


def test_a_source_without_any_usable_frame_gives_one_clear_error(tmp_path):
    with pytest.raises(MapEmptyError, match='none from 3 frames, 3 unusable'):
        build(tmp_path / 'map', frames=Drive(3, broken=(0, 1, 2)))
    with pytest.raises(MapEmptyError, match='none from 0 frames'):
        build(tmp_path / 'other', frames=[])
    assert not (tmp_path / 'map').exists()


def test_an_existing_map_is_refused_before_any_work_and_kept(tmp_path):
    some_map(4).save(tmp_path / 'map')
    extractor = CheapExtractor()
    with pytest.raises(MapExistsError):
        build(tmp_path / 'map', extractor)
    assert extractor.extracted == 0 and len(PlaceMap.open(tmp_path / 'map')) == 4
    assert not (tmp_path / 'map.building').exists()
    assert len(build(tmp_path / 'map', extractor, overwrite=True)) == 30


def test_two_builds_of_one_map_do_not_mix(tmp_path):
    (tmp_path / 'map.building').mkdir()
    with lock(tmp_path / 'map.building'), pytest.raises(MapBusyError):
        build(tmp_path / 'map')


# ---------------------------------------------------------------- going on


@pytest.mark.parametrize('error', [OSError(28, 'camera'), MemoryError(), ValueError('x')])
def test_an_error_of_the_model_is_not_taken_for_one_of_the_disk(tmp_path, error):
    class Broken(CheapExtractor):
        def extract_batch(self, images):
            raise error

    with pytest.raises(type(error)):
        build(tmp_path / 'map', Broken())


def test_a_folder_that_cannot_be_written_is_said_before_any_work(tmp_path):
    (tmp_path / 'file').write_text('x')
    extractor = CheapExtractor()
    with pytest.raises(MapSpaceError, match='cannot be written'):
        build(tmp_path / 'file' / 'map', extractor)
    assert extractor.extracted == 0


@pytest.mark.parametrize('batches', [0, 1, 2, 3, 5, 7])
def test_a_stopped_build_goes_on_and_gives_the_same_arrays(tmp_path, whole, batches):
    out = tmp_path / 'map'
    stop_after(batches, out)
    with pytest.raises(MapNotFoundError):
        PlaceMap.open(out)
    second = CheapExtractor()
    place_map = build(out, second)
    assert array_bytes(place_map) == whole
    kept = 8 * (4 * batches // 8)
    assert second.extracted == 30 - kept, 'finished chunks are not extracted again'
    assert place_map.source['skipped'] == 2


def test_slow_extraction_is_kept_after_each_batch(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(map_builder, 'CHUNK_SECONDS', 0.0)
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
        {'config': MapConfig(local_dtype='fp16')},
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
        patch.setattr(map_builder.WorkFolder, 'remove', lambda self: None)
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
    place_map = PlaceMap.open(out, IDENTITY)
    if place_map.source['type'] == 'test' and len(place_map) == 4:
        return 'old'
    assert array_bytes(place_map) == whole
    return 'new'


def test_killed_20_times_at_random_moments_the_build_ends_with_the_same_map(
    killer, tmp_path, whole
):
    """As the issue wants it: kill -9 during `map build`, over an existing map."""
    out = tmp_path / 'map'
    some_map(4).save(out)
    states = []
    for after_s in moments(20, 0.02, 0.6, seed=11):
        killed = killer.run('build', out, after_s, seconds=0.02)
        states.append(is_old_or_new(out, whole))
        if states[-1] == 'new':  # start over
            some_map(4).save(out, overwrite=True)
        assert killed or states[-1] == 'new'
    assert not killer.run('build', out, seconds=0.0)
    assert is_old_or_new(out, whole) == 'new'
    assert 'old' in states
    assert [p.name for p in tmp_path.iterdir()] == ['map']


def test_killed_before_many_file_operations_each_next_build_goes_on(killer, tmp_path, whole):
    out = tmp_path / 'map'
    some_map(4).save(out)
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
        some_map(4).save(out)
        stop_after(7, out, overwrite=True)
        killed = killer.run('build', out, operation=operation, seconds=0.0)
        assert is_old_or_new(out, whole) in ('old', 'new')
        if not killed:
            break
        assert not killer.run('build', out, seconds=0.0)
        assert is_old_or_new(out, whole) == 'new'
        assert not out.with_name(out.name + '.building').exists()
    assert not killed and operation > 20


# ---------------------------------------------------------------- the real model


def test_a_real_model_builds_a_map_that_finds_its_own_images(tmp_path):
    from selavpr_model.extractor import load_extractor

    config = ExtractorConfig(
        random_weights=True, image_height=56, image_width=56, device='cpu', precision='fp32',
        batch_size=3,
    )  # fmt: skip
    extractor = load_extractor(config)
    drive = Drive(8)
    place_map = build(tmp_path / 'map', extractor, frames=drive, source={'type': 'test'})
    assert 'RANDOM' in place_map.identity.note.upper(), 'random weights are said in every output'
    manifest = json.loads((tmp_path / 'map' / 'manifest.json').read_text())
    assert manifest['preprocessing']['height'] == 56
    features = extractor.extract(drive[4].image)
    rows, similarities = place_map.search(features.global_, 1)
    assert place_map.places[rows[0]].name == '0004.jpg' and similarities[0] > 0.999
    local = place_map.local(rows)[0].reshape(extractor.identity.local_shape)
    assert ((local * features.local).sum(axis=-1) > 0.999).all()
    with pytest.raises(MapError, match='random'):
        PlaceMap.open(tmp_path / 'map', IDENTITY)
