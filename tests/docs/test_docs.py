# SPDX-License-Identifier: MIT
"""The commands of README and docs: each is known with its options, the short ones run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import functools
import json
from pathlib import Path
import shlex
import subprocess
import sys
from typing import Any

from docs_commands import COMMANDS, program
from docs_text import Text, TEXTS
import pytest
from replay_helpers import command
import typer

from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.writer import write_bag
from selavpr_ros.cli import app

from where import ROOT

STEP = 15  # of the demo's bags every 15th image is used, so that it takes seconds
# These take minutes, need image sets that are not in the repository or change the user's cache.
ONLY_PARSED = {'benchmark', 'evaluate', 'demo', 'weights fetch', 'weights import', 'train',
               'ablate', 'export'}  # fmt: skip


PLAIN = {'cd', 'source', 'rosdep', 'colcon', 'git'}  # not ours
DRIFT = 'tools/add_drift.py'  # makes in seconds what a page then uses
ELSEWHERE = {'docker', 'pixi', 'uv'}  # tests/repository/test_elsewhere.py looks at them
SELAVPR = [(text, words) for text in TEXTS for words in text.selavpr_commands()]


def named(pairs: list[tuple[Text, list[str]]]) -> list[Any]:
    return [pytest.param(t, w, id=f'{t.name}: {shlex.join(w)}') for t, w in pairs]


def leaf(words: list[str]) -> tuple[str, Any, list[str]]:
    """Name and command at the end of the leading words, and the arguments it is given."""
    target: Any = typer.main.get_command(app)
    for used, word in enumerate(words):
        below = getattr(target, 'commands', None)
        if below is None:
            return ' '.join(words[:used]), target, words[used:]
        assert word in below, f'no command {word!r} in: selavpr {shlex.join(words)}'
        target = below[word]
    return ' '.join(words), target, []


def takes_seconds(words: list[str]) -> bool:
    """Whether it uses what is in the repository or what the page has made, and soon ends.

    Without --live, which plays a bag in its own time and is tested in test_live_replay.py.
    """
    paths = [word for word in words if '/' in word and not word.startswith(('/', '--'))]
    ours = all(path.startswith(('demo/', 'build/')) for path in paths)
    return leaf(words)[0] not in ONLY_PARSED and '--live' not in words and ours


RUNNABLE = [text for text in TEXTS if any(map(takes_seconds, text.selavpr_commands()))]
Reader = Callable[[Text], tuple[Path, dict[str, int]]]


class TestCommands:
    def test_pages_show_what_they_tell(self) -> None:
        shown = {leaf(words)[0] for _, words in SELAVPR}
        wanted = {'map build', 'map info', 'map check', 'map merge', 'map update', 'map prune',
                  'map edit', 'replay', 'slam', 'evaluate', 'train', 'ablate', 'benchmark',
                  'weights fetch', 'weights import'}  # fmt: skip
        assert wanted <= shown

    @pytest.mark.parametrize(('text', 'words'), named(SELAVPR))
    def test_the_command_line_takes_it(self, text: Text, words: list[str]) -> None:
        name, target, arguments = leaf(words)
        target.make_context(name, list(arguments))  # raises for what is missing or not known

    def test_every_other_command_has_a_check(self) -> None:
        known = {*PLAIN, 'selavpr', 'torchrun', 'ros2', 'make', 'pip', 'python', 'python3',
                 'bash', *ELSEWHERE}  # fmt: skip
        assert sorted({program(words) for _, words in COMMANDS} - known) == []

    @pytest.mark.slow
    @pytest.mark.parametrize('text', RUNNABLE, ids=lambda text: text.name)
    @pytest.mark.usefixtures('ros')
    def test_the_short_ones_run_in_the_order_of_the_page(self, text: Text, reader: Reader) -> None:
        codes = reader(text)[1]
        assert codes and not any(codes.values()), codes

    @pytest.mark.slow
    @pytest.mark.usefixtures('ros')
    def test_what_maps_tells_gives_what_it_says(self, reader: Reader, town: Path) -> None:
        text = Text('docs/maps.md')
        here, commands = reader(text)[0], {leaf(w)[0]: w for w in text.selavpr_commands()}
        built = here / option(commands['map build'], '--out')
        places = len(BagFrames(town / 'demo' / 'summer'))
        counts = json.loads((built / 'manifest.json').read_text())['counts']
        assert counts['places'] == counts['with_pose'] == places > 10
        out = here / option(commands['replay'], '--out')
        summary = json.loads((out / 'summary.json').read_text())
        images = len(BagFrames(town / 'demo' / 'winter'))
        assert summary['frames'] == summary['processed'] == images > 10
        assert (out / 'report.html').stat().st_size > 10_000


def option(words: list[str], flag: str) -> Path:
    return Path(words[words.index(flag) + 1])


@pytest.fixture(scope='module')
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with demo/summer and demo/winter, each thinned to a few images."""
    here = tmp_path_factory.mktemp('reader')
    (here / 'demo').mkdir()
    for run in ('summer', 'winter'):
        frames = BagFrames(ROOT / 'demo' / run)
        thinned = [frame for index, frame in enumerate(frames) if index % STEP == 0]
        write_bag(here / 'demo' / run, thinned, base_camera=frames.base_camera)
    yield here


@pytest.fixture(scope='module')
def reader(town: Path, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Does what a page says, once: its short commands in order, then Python that uses them.

    Gives the folder it worked in and the exit code of each command.
    """

    @functools.cache
    def read(text: Text) -> tuple[Path, dict[str, int]]:
        here = tmp_path_factory.mktemp('page')
        (here / 'demo').symlink_to(town / 'demo')
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(here)
            for page, words in COMMANDS:
                if page == text and words[:2] == ['python', DRIFT]:
                    subprocess.run([sys.executable, ROOT / DRIFT, *words[2:]], check=True)
            ready = [words for words in text.selavpr_commands() if takes_seconds(words)]
            codes = {shlex.join(words): command(*words) for words in ready}
            for code in text.blocks('python'):
                if "'build/" in code:
                    exec(compile(code, text.name, 'exec'), {})
        return here, codes

    return read
