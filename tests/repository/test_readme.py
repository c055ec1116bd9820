# SPDX-License-Identifier: MIT
"""The README keeps its word: its commands run, what it names exists, its table is up to date."""

from __future__ import annotations

from collections.abc import Iterator
import json
from pathlib import Path
import re
import shlex
import subprocess
from typing import Any
import xml.etree.ElementTree as ElementTree

import pytest
from replay_helpers import command
import typer

from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.writer import write_bag
from selavpr_ros.cli import app

from where import ROOT

TEXT = (ROOT / 'README.md').read_text(encoding='utf-8')
BLOCK = re.compile(r'^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
PROSE = BLOCK.sub('', TEXT)
BLOCKS = [(language, body.replace('\\\n', ' ')) for language, body in BLOCK.findall(TEXT)]

STEP = 15  # of the demo's bags every 15th image is replayed, so that it takes seconds
# `evaluate` and `benchmark` take minutes and need image sets that are not in the repository;
# `demo` takes minutes and has its own tests; the other two would change the cache of the user.
ONLY_PARSED = {'benchmark', 'evaluate', 'demo', 'weights fetch', 'weights import'}


def shown(program: str) -> list[list[str]]:
    """The words after `$ PROGRAM` of each such line in a console block."""
    lines = [line for language, body in BLOCKS if language == 'console'
             for line in body.splitlines()]  # fmt: skip
    split = [shlex.split(line[2:], comments=True) for line in lines if line.startswith('$ ')]
    return [words[1:] for words in split if words[:1] == [program]]


def leaf(words: list[str]) -> tuple[str, Any, list[str]]:
    """Name and command at the end of the leading words, and the arguments it is given."""
    found: Any = typer.main.get_command(app)
    for used, word in enumerate(words):
        below = getattr(found, 'commands', None)
        if below is None:
            return ' '.join(words[:used]), found, words[used:]
        assert word in below, f'no command {word!r} in: selavpr {shlex.join(words)}'
        found = below[word]
    return ' '.join(words), found, []


COMMANDS = shown('selavpr')
every_command = pytest.mark.parametrize(
    'words', COMMANDS, ids=[f'selavpr {shlex.join(words)}' for words in COMMANDS]
)


def test_each_step_of_a_user_is_shown() -> None:
    names = {leaf(words)[0] for words in COMMANDS}
    wanted = {'map build', 'map info', 'map check', 'replay', 'evaluate', 'weights list'}
    assert names >= wanted, f'README shows no: {wanted - names}'


@every_command
def test_the_command_line_takes_it(words: list[str]) -> None:
    name, target, arguments = leaf(words)
    target.make_context(name, list(arguments))  # raises for what is missing or not known


@pytest.fixture(scope='module')
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to work in with demo/summer and demo/winter, each thinned to a few images."""
    here = tmp_path_factory.mktemp('reader')
    (here / 'demo').mkdir()
    for run in ('summer', 'winter'):
        frames = BagFrames(ROOT / 'demo' / run)
        thinned = [frame for index, frame in enumerate(frames) if index % STEP == 0]
        write_bag(here / 'demo' / run, thinned, base_camera=frames.base_camera)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        yield here


@pytest.fixture(scope='module')
def exit_codes(town: Path) -> dict[str, int]:
    """The exit code of every command line run as it is written, in the README's order.

    Without --live, which plays a bag in its own time and is tested in test_live_replay.py.
    """
    (town / 'build').mkdir()
    ready = [w for w in COMMANDS if leaf(w)[0] not in ONLY_PARSED and '--live' not in w]
    return {shlex.join(words): command(*words) for words in ready}


def test_the_commands_run_one_after_the_other(exit_codes: dict[str, int]) -> None:
    assert len(exit_codes) >= 5
    assert not any(exit_codes.values()), exit_codes


def option(name: str, flag: str) -> Path:
    """What the README gives for an option of the first command of that name."""
    words = next(words for words in COMMANDS if leaf(words)[0] == name)
    return Path(words[words.index(flag) + 1])


def test_the_map_holds_every_image_with_its_pose(exit_codes: dict[str, int], town: Path) -> None:
    manifest = json.loads((town / option('map build', '--out') / 'manifest.json').read_text())
    places = len(BagFrames(town / 'demo' / 'summer'))
    counts = manifest['counts']
    assert counts['places'] == counts['with_pose'] == places > 10


def test_the_replay_scores_every_image(exit_codes: dict[str, int], town: Path) -> None:
    out = town / option('replay', '--out')
    summary = json.loads((out / 'summary.json').read_text())
    images = len(BagFrames(town / 'demo' / 'winter'))
    assert summary['frames'] == summary['processed'] == images > 10
    assert summary['in_map_frames'] + summary['outside_map_frames'] == images
    assert (out / 'report.html').stat().st_size > 10_000


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r'^([a-z]+):(?!=)', (ROOT / 'Makefile').read_text(), re.MULTILINE))
    named = {word for words in shown('make') for word in words if word.isalpha()}
    named |= set(re.findall(r'`make ([a-z]+)', PROSE))
    assert named >= {'demo', 'test'}
    assert named <= targets, f'not in the Makefile: {named - targets}'


def tracked() -> set[str]:
    """Files of the repository, and the folders they are in with a slash at the end."""
    words = ['git', '-C', str(ROOT), 'ls-files', '--cached', '--others', '--exclude-standard']
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split('\n')
    files = {line for line in listed if line and (ROOT / line).is_file()}
    return files | {f'{folder}/' for file in files for folder in Path(file).parents}


def named_paths() -> set[str]:
    """What in backticks looks like a path in the repository, or like one of its files' names."""
    spans = set(re.findall(r'`([\w./-]+)`', PROSE))
    roots = {name.split('/')[0] for name in tracked() if '/' in name and name != './'}
    inside = {s for s in spans if '/' in s and s.split('/')[0] in roots}
    return inside | {s for s in spans if re.fullmatch(r'[\w.-]+\.(py|md|msg|srv|ya?ml|toml)', s)}


def test_every_path_in_backticks_exists() -> None:
    known = tracked()
    lost = {
        path
        for path in named_paths()
        if not {path, f'{path}/'} & known and not any(k.endswith(f'/{path}') for k in known)
    }
    assert {'maps/README.md', 'config/localize.yaml'} <= named_paths()
    assert not lost, f'README names files that are not here: {sorted(lost)}'


def test_every_link_and_image_leads_somewhere() -> None:
    targets = re.findall(r'\]\(([^)\s]+)\)', PROSE)
    local = {target.partition('#')[0] for target in targets if '://' not in target} - {''}
    assert {'docs/demo.png', 'CHANGELOG.md'} <= local
    assert not [path for path in local if not (ROOT / path).is_file()]


def test_the_overview_names_folders_and_modules_that_exist() -> None:
    overview = next(body for language, body in BLOCKS if 'selavpr_ros/' in body)
    folders = set(re.findall(r'(?<!\S)([a-z_]+/)(?!\S)', overview))
    assert folders >= {'selavpr_model/', 'selavpr_ros/'} and folders <= tracked()
    modules = {p.stem for p in ROOT.glob('selavpr_*/*.py')}
    modules |= {p.parent.name for p in ROOT.glob('selavpr_*/*/__init__.py')}
    columns = [re.split(r'\s{2,}', line)[-1] for line in overview.splitlines()]
    named = {word for column in columns for word in column.split() if not word.endswith('/')}
    assert 'recognizer' in named
    assert named <= modules, f'no such modules: {named - modules}'


def test_every_interface_of_ours_exists() -> None:
    named = set(re.findall(r'`selavpr/(\w+)`', PROSE))
    defined = {path.stem for path in [*ROOT.glob('msg/*.msg'), *ROOT.glob('srv/*.srv')]}
    assert 'PlaceHypotheses' in named and named <= defined


def test_the_launch_commands_name_real_files_and_arguments() -> None:
    lines = re.findall(r'ros2 launch selavpr (\S+)(.*)', '\n'.join(body for _, body in BLOCKS))
    assert lines
    for file, rest in lines:
        source = (ROOT / 'launch' / file).read_text()
        arguments = re.findall(r'(\w+):=', rest)
        assert arguments and all(f"'{name}'" in source for name in arguments), (file, arguments)


def test_nothing_is_left_to_fill_in() -> None:
    assert not re.findall(r'<<.*|\bTODO\b.*|\bTBD\b.*|\bXXX\b.*', TEXT)


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    version = ElementTree.parse(ROOT / 'package.xml').findtext('version')
    headings = re.findall(r'^## (\S+)', (ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE)
    assert headings and headings[0] == version
