# SPDX-License-Identifier: MIT
"""Building: keyframes only, bad frames skipped, and nothing overwritten that was not to be."""

import json
import re
import sys

from map_helpers import build, CheapExtractor, Drive, IDENTITY, some_map
import numpy as np
import pytest

from selavpr_model.config import ExtractorConfig, MapConfig
from selavpr_model.decision.calibration import Calibration
from selavpr_model.errors import (
    MapBusyError,
    MapEmptyError,
    MapError,
    MapExistsError,
    MapSpaceError,
)
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.maps.storage.writer import lock
from selavpr_model.matching.local_head import head_of
from selavpr_model.records import Features

pytestmark = pytest.mark.usefixtures('small_chunks', 'quick')


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
    assert place_map.calibration == open_map(tmp_path / 'map').calibration


def test_the_bar_ends_with_all_frames_and_places(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    place_map = build(tmp_path / 'map', progress=True)
    shown = re.split(r'[\r\n]', capsys.readouterr().err)
    last = [part for part in shown if 'places=' in part][-1]
    assert f'places={len(place_map)}' in last and '60/60' in last


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


def test_a_source_without_any_usable_frame_gives_one_clear_error(tmp_path):
    with pytest.raises(MapEmptyError, match='none from 3 frames, 3 unusable'):
        build(tmp_path / 'map', frames=Drive(3, broken=(0, 1, 2)))
    with pytest.raises(MapEmptyError, match='none from 0 frames'):
        build(tmp_path / 'other', frames=[])
    assert not (tmp_path / 'map').exists()


def test_an_existing_map_is_refused_before_any_work_and_kept(tmp_path):
    save_map(some_map(4), tmp_path / 'map')
    extractor = CheapExtractor()
    with pytest.raises(MapExistsError):
        build(tmp_path / 'map', extractor)
    assert extractor.extracted == 0 and len(open_map(tmp_path / 'map')) == 4
    assert not (tmp_path / 'map.building').exists()
    assert len(build(tmp_path / 'map', extractor, overwrite=True)) == 30


def test_two_builds_of_one_map_do_not_mix(tmp_path):
    (tmp_path / 'map.building').mkdir()
    with lock(tmp_path / 'map.building'), pytest.raises(MapBusyError):
        build(tmp_path / 'map')


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


# ---------------------------------------------------------------- the real model


def test_a_real_model_builds_a_map_that_finds_its_own_images(tmp_path):
    from selavpr_model.features.extractor import load_extractor

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
        open_map(tmp_path / 'map', IDENTITY)


def test_a_map_of_tokens_is_built_in_chunks_with_one_head(tmp_path):
    from selavpr_model.features.extractor import load_extractor

    config = ExtractorConfig(
        random_weights=True, local_head='upconv', image_height=56, image_width=56, device='cpu',
        precision='fp32',
    )  # fmt: skip
    extractor, drive = load_extractor(config), Drive(20)
    place_map = build(
        tmp_path / 'map', extractor, frames=drive, config=MapConfig(local_dtype='compact')
    )
    assert len(place_map) == 10 and place_map.head is not None
    assert place_map.head.like(head_of(extractor.local))
    features = extractor.extract(drive[18].image)
    counts = place_map.matcher('mutual').count(
        place_map.code(features), place_map.codes(range(len(place_map)))
    )
    assert counts.argmax() == 9 and counts[9] == 13 * 13
