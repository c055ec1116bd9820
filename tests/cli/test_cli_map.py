# SPDX-License-Identifier: MIT
"""selavpr map: info and check on real maps, and what every `map build` does."""

from dataclasses import replace
import json
from pathlib import Path

from map_helpers import Drive, one_torch_thread, some_map
import pytest
from typer.testing import CliRunner

from selavpr_model.cli.map import build_from, map_app
from selavpr_model.config import ExtractorConfig, KeyframeConfig, MapConfig
from selavpr_model.errors import MapDataError, MapExistsError, MapNotFoundError
from selavpr_model.maps.storage.store import open_map, save_map

TINY = ExtractorConfig(
    random_weights=True, image_height=56, image_width=56, device='cpu', precision='fp32'
)


@pytest.fixture
def path(tmp_path) -> Path:
    save_map(some_map(6), tmp_path / 'map')
    return tmp_path / 'map'


def run(*arguments: object):
    return CliRunner().invoke(map_app, [str(a) for a in arguments])


def test_info_shows_what_people_ask_for(path, tmp_path):
    result = run('info', path, '--json', tmp_path / 'info.json')
    assert result.exit_code == 0, result.output
    for word in ('6, 5 with a pose', 'features of a test', 'local as fast', 'revision 1', 'none'):
        assert word in ' '.join(result.output.split()), result.output
    assert json.loads((tmp_path / 'info.json').read_text())['counts']['places'] == 6


def test_info_without_the_data_shows_the_manifest_and_warns(path, caplog):
    for file in path.glob('data-*/*'):
        file.unlink()
    result = run('info', path)
    assert result.exit_code == 0 and '6, 5 with a pose' in ' '.join(result.output.split())
    assert 'what it covers is not known' in caplog.text


@pytest.mark.parametrize('options', [(), ('--deep',)])
def test_check_of_a_sound_map_says_so(path, tmp_path, options):
    result = run('check', path, *options, '--json', tmp_path / 'check.json')
    assert result.exit_code == 0 and 'is sound' in result.output
    report = json.loads((tmp_path / 'check.json').read_text())
    assert report['places'] == 6 and report['problems'] == [] and report['deep'] is bool(options)


def test_check_of_a_damaged_map_raises_its_error(path):
    file = next(path.glob('data-*/local.npy'))
    file.write_bytes(file.read_bytes()[:-1])
    assert isinstance(run('check', path).exception, MapDataError)
    assert isinstance(run('check', path / 'nowhere').exception, MapNotFoundError)


def test_a_deep_check_finds_what_is_written_wrong(tmp_path):
    place_map = some_map(6)
    place_map.jpegs[2] = place_map.jpegs[2][10:]
    place_map.table[4].pose[:3, :3] *= 2
    save_map(place_map, tmp_path / 'map')
    assert run('check', tmp_path / 'map').exit_code == 0
    result = run('check', tmp_path / 'map', '--deep', '--json', tmp_path / 'check.json')
    assert isinstance(result.exception, MapDataError)
    problems = json.loads((tmp_path / 'check.json').read_text())['problems']
    assert len(problems) == 2 and 'JPEG' in problems[0] and 'rotation' in problems[1]


def test_build_from_makes_a_map_and_shows_it(tmp_path, capsys):
    out = tmp_path / 'map'
    options = {
        'source': {'type': 'test'},
        'extractor': TINY,
        'keyframes': KeyframeConfig(distance_m=1.0),
        'storage': MapConfig(local_dtype='tiny', thumbnail_px=0),
    }
    with one_torch_thread():
        build_from(Drive(6), out, **options, json_out=tmp_path / 'map.json')
    shown = ' '.join(capsys.readouterr().out.split())
    assert '3, 3 with a pose' in shown and 'local as tiny' in shown and 'random' in shown.lower()
    assert open_map(out).map_id == json.loads((tmp_path / 'map.json').read_text())['map_id']
    with pytest.raises(MapExistsError):
        build_from(Drive(6), out, **options)
    with one_torch_thread():
        build_from(Drive(6), out, **options, overwrite=True)


@pytest.mark.parametrize('command', ['info', 'check'])
def test_help_shows_a_copy_paste_example(command):
    result = run(command, '--help')
    assert result.exit_code == 0 and f'selavpr map {command} maps/' in result.output


def test_a_map_says_how_many_images_had_a_pose_and_what_it_cannot_do_without(tmp_path, capsys):
    frames = Drive(length=4)
    bare = [replace(frames[k], pose=None) for k in range(4)]
    source = {
        'kind': 'folder', 'path': 'x', 'poses': 'none', 'images': 4, 'posed': 0,
        'left_out': {'.heic (convert to jpg or png)': 2},
    }  # fmt: skip
    with one_torch_thread():
        build_from(bare, tmp_path / 'm', source=source, extractor=TINY)
    words = ' '.join(capsys.readouterr().out.replace('│', ' ').split())
    assert '4 images, 2 left out (2 .heic (convert to jpg or png)), none with a pose' in words
    assert 'gives no position' in words and 'build it with poses' in words
    assert open_map(tmp_path / 'm').source['left_out'] == source['left_out']
