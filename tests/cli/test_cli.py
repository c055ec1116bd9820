# SPDX-License-Identifier: MIT
"""The `selavpr` command line: help with examples that work, errors in one line, quick start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import json
import math
import os
from pathlib import Path
import re
import shlex
import subprocess
import sys
from tempfile import gettempdir
from typing import Annotated, Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from selavpr_model.cli import app as cli
from selavpr_model.cli.options import Fields, parse_size, with_configs
from selavpr_model.config import DatasetConfig, ExtractorConfig, RecognizerConfig
from selavpr_model.errors import ConfigError, InputError, WeightsError
from selavpr_model.runtime.outputs import require_outputs, write_json
from selavpr_ros.cli import app

from where import ROOT

WIDTH = 100  # columns of the terminal in which an example must not be broken


def walk(command: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Every command with the words that lead to it, the groups among them."""
    below = getattr(command, 'commands', {}).items()
    return [(path, command), *(found for n, c in below for found in walk(c, (*path, n)))]


COMMANDS = walk(typer.main.get_command(app))
every_command = pytest.mark.parametrize(
    ('path', 'command'), COMMANDS, ids=[' '.join(('selavpr', *path)) for path, _ in COMMANDS]
)


def examples(command: Any) -> list[str]:
    text = f'{command.help}\n{command.epilog}'
    return [found.strip() for found in re.findall(r'Example: `?(selavpr [^`\n]+)', text)]


def call(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments], terminal_width=WIDTH)


def shell(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, '-m', 'selavpr_ros.cli', *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, cwd=ROOT, **options)


def test_the_commands_of_the_design_are_there():
    names = {' '.join(path) for path, _ in COMMANDS}
    wanted = ['evaluate', 'demo', 'replay', 'weights list', 'weights fetch', 'weights import']
    assert names >= {*wanted, 'map build', 'map info', 'map check'}


@every_command
def test_every_help_shows_an_example_on_one_line(path, command, monkeypatch):
    monkeypatch.setenv('COLUMNS', str(WIDTH))
    result = call(*path, '--help')
    assert result.exit_code == 0, result.output
    lines = [line.strip() for line in result.output.splitlines()]
    assert examples(command), f'{" ".join(path)}: no "Example: selavpr ..." in its help'
    assert all(any(e in line for line in lines) for e in examples(command)), result.output


@every_command
def test_every_example_is_a_valid_command_line(path, command):
    for example in examples(command):
        words = shlex.split(example)[1:]
        target = max((p for p, _ in COMMANDS if words[: len(p)] == [*p]), key=len)
        assert target[: len(path)] == path and target != ()
        leaf = dict(COMMANDS)[target]
        leaf.make_context(example, words[len(target) :])  # raises for a wrong option


@every_command
def test_help_is_plain_text_in_one_style(path, command):
    ours = [p for p in command.params if p.name not in ('install_completion', 'show_completion')]
    for text in (f'{command.help}{command.epilog}', *(str(p.help) for p in ours)):
        assert '`' not in text, text
    for parameter in ours:
        assert not re.match(r'[A-Z][a-z]+\b', parameter.help), parameter.help
        assert not parameter.help.endswith('.'), parameter.help
        assert not re.match(r'(and|or|the same|more|not|of a)\b', parameter.help), parameter.help


def test_a_known_error_is_one_line_and_exit_code_1(tmp_path):
    done = shell('evaluate', tmp_path / 'no\nwhere')
    assert done.returncode == 1 and done.stdout == ''
    assert done.stderr.count('\n') == 1 and done.stderr.startswith('selavpr: ')
    assert 'got no folder' in done.stderr


def test_run_turns_every_error_of_ours_into_exit_code_1(capsys):
    broken = typer.Typer(pretty_exceptions_enable=False)

    @broken.command()
    def fail() -> None:
        raise WeightsError('weights: expected\nthis, got that')

    with pytest.raises(SystemExit) as stop:
        cli.run(broken, [])
    assert stop.value.code == 1
    assert capsys.readouterr().err == 'selavpr: weights: expected this, got that\n'


def test_what_the_system_says_about_a_file_is_one_line_too(capsys):
    broken = typer.Typer(pretty_exceptions_enable=False)

    @broken.command()
    def fail() -> None:
        Path('/proc/nowhere').mkdir(parents=True)

    with pytest.raises(SystemExit) as stop:
        cli.run(broken, [])
    said = capsys.readouterr().err
    assert stop.value.code == 1 and said.count('\n') == 1
    assert said.startswith('selavpr: /proc/nowhere: ') and '--log-level debug' in said


def test_an_unknown_exception_keeps_its_traceback():
    broken = typer.Typer(pretty_exceptions_enable=False)

    @broken.command()
    def fail() -> None:
        raise ZeroDivisionError('a bug')

    with pytest.raises(ZeroDivisionError, match='a bug'):
        cli.run(broken, [])


NEW = f'{gettempdir()}/selavpr_is_not_here'  # a folder that everybody may write in
WRITING = {  # command lines that would fail in another way later
    'evaluate': ('evaluate', 'nowhere'),
    'map info': ('map', 'info', 'nowhere'),
    'map check': ('map', 'check', 'nowhere'),
    'map merge': ('map', 'merge', 'nowhere', '--out', NEW),
    'map build': ('map', 'build', 'nowhere', '--out', NEW),
    'replay': ('replay', 'nowhere', '--map', 'no', '--truth', 'none', '--out', NEW),
    'slam': ('slam', 'nowhere', '--out', NEW),
    'benchmark': ('benchmark', '--only', 'nothing'),
}
TO_FOLDERS = {name: words[:-2] for name, words in WRITING.items() if '--out' in words} | {
    'demo': ('demo', '--data', 'nowhere'),
    'train': ('train', 'config/train_vits14.yaml'),
    'ablate': ('ablate', 'nowhere'),
}


@contextmanager
def unprivileged() -> Iterator[None]:
    """The system lets root write everywhere."""
    user = os.geteuid()
    if not user:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize('words', WRITING.values(), ids=WRITING)
def test_a_json_that_cannot_be_written_is_said_before_the_work(words, tmp_path):
    for there in (tmp_path / 'no' / 'x.json', tmp_path):
        error = call(*words, '--json', there).exception
        assert isinstance(error, InputError) and 'existing folder' in str(error), error
    with unprivileged():
        error = call(*words, '--json', '/x.json').exception
    assert isinstance(error, InputError) and str(error).startswith('--json: '), error
    assert 'can be written, got /x.json' in str(error)


@pytest.mark.parametrize('words', TO_FOLDERS.values(), ids=TO_FOLDERS)
def test_a_folder_that_cannot_be_written_is_said_before_the_work(words):
    for there in ('README.md', 'README.md/below'):
        error = call(*words, '--out', ROOT / there).exception
        assert isinstance(error, InputError) and f'{ROOT / "README.md"} is a file' in str(error)
    with unprivileged():
        error = call(*words, '--out', '/selavpr_out/a').exception
    assert isinstance(error, InputError) and 'can be written, got /selav' in str(error), error


def test_the_json_may_lie_in_the_folder_that_is_made(tmp_path):
    out = tmp_path / 'out'
    require_outputs(out, out / 'x.json')
    with pytest.raises(InputError, match='existing folder'):
        require_outputs(out, out / 'below' / 'x.json')


def test_the_version_is_that_of_the_package():
    xml = (ROOT / 'package.xml').read_text()
    version = re.search(r'<version>(.+?)</version>', xml)[1]
    assert call('--version').output == f'selavpr {version}\n'


def test_help_loads_nothing_heavy():
    code = (
        'import sys, selavpr_ros.cli\n'
        'heavy = {"torch", "faiss", "matplotlib", "cv2", "scipy", "rclpy"} & set(sys.modules)\n'
        'assert not heavy, heavy'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_an_unknown_log_level_lists_the_known_ones():
    error = call('--log-level', 'loud', 'weights', 'list').exception
    assert isinstance(error, ConfigError) and 'debug, info, warning, error' in str(error)


@pytest.mark.parametrize(('text', 'size'), [('224', (224, 224)), ('224x448', (224, 448))])
def test_a_size_is_height_and_width(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize('text', ['', 'x', '224x', '1x2x3', '-14', '2.5'])
def test_a_wrong_size_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match='such as 224x448'):
        parse_size(text)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--k', '0'], '--k: expected 1 to'),
        (['--precision', 'foo'], '--precision: expected one of auto, fp32'),
        (['--local-dtype', 'int4'], 'fast, tiny, compact, dense, exact'),
        (['--size', '225'], '225'),
        (['--queries', '3'], 'START:STOP'),
        (['--plots', 'build/no'], 'add --absent 0.3'),
        (['--json', 'no/such/folder/x.json'], 'existing folder'),
        (['--device', 'tpu'], "got 'tpu'"),
        (['--weights', 'nothing'], "'nothing' is neither a file nor a known name"),
    ],
)
def test_a_wrong_option_is_refused_with_the_cure(tmp_path, arguments, message):
    for folder in ('query', 'ref'):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / '0.jpg').touch()
    result = call('evaluate', tmp_path, *arguments)
    assert message in str(result.exception), result.exception


def test_options_show_the_help_and_the_default_of_their_configuration(monkeypatch):
    monkeypatch.setenv('COLUMNS', '200')
    text = ' '.join(call('evaluate', '--help').output.split())
    assert f'[default: {RecognizerConfig().candidates}]' in text
    assert f'[default: {ExtractorConfig().weights}]' in text
    assert 'fast | tiny | compact' in text


def test_a_group_of_fields_becomes_options_and_comes_back_as_a_configuration():
    given: list[Any] = []
    app = typer.Typer()

    @app.command()
    @with_configs
    def ask(
        name: str,
        model: Annotated[ExtractorConfig, Fields('device', blocks='--depth')],
        data: Annotated[DatasetConfig, Fields('tolerance')],
        loud: bool = False,
    ) -> None:
        given.extend([name, model, data, loud])

    words = ['x', '--depth', '3', '--tolerance', '2.5']
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    assert given == ['x', ExtractorConfig(blocks=3), DatasetConfig(tolerance=2.5), False]
    assert CliRunner().invoke(app, ['y'], catch_exceptions=False).exit_code == 0
    assert given[4:] == ['y', ExtractorConfig(), DatasetConfig(), False]
    error = CliRunner().invoke(app, ['x', '--depth', '99']).exception
    assert isinstance(error, ConfigError) and str(error) == '--depth: expected 0 to 40; got 99'


def test_no_json_holds_what_is_no_number(tmp_path: Path) -> None:
    told = {'recall': [1.5, math.nan], 'more': ({'ratio': np.float64(math.inf)}, None, 'nan', 7)}
    write_json(tmp_path / 'x.json', told)
    read = json.loads((tmp_path / 'x.json').read_text(), parse_constant=pytest.fail)
    assert read == {'recall': [1.5, None], 'more': [{'ratio': None}, None, 'nan', 7]}
