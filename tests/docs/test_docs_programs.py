# SPDX-License-Identifier: MIT
"""Commands of other programs in README and docs."""

from __future__ import annotations

import ast
import functools
import os
import re
import shlex
import subprocess
import sys

from docs_commands import COMMANDS, program
from docs_text import README, TEXTS
import pytest

from where import ROOT


class TestOtherPrograms:
    def test_every_make_target_exists(self) -> None:
        made = (ROOT / 'Makefile').read_text(encoding='utf-8')
        targets = set(re.findall(r'^([a-z]+):(?!=)', made, re.MULTILINE))
        shown = {w for _, words in COMMANDS if program(words) == 'make'
                 for w in words[1:] if w.isalpha()}  # fmt: skip
        shown |= {target for text in TEXTS for target in re.findall(r'`make ([a-z]+)', text.prose)}
        assert {'demo', 'test'} <= shown <= targets

    def test_launch_lines_give_arguments_that_are_declared(self) -> None:
        launched = [words for _, words in COMMANDS if words[:2] == ['ros2', 'launch']]
        launched = [words for words in launched if words[2] == 'selavpr']
        assert len(launched) > 5
        for words in launched:
            declared = declared_arguments(words[3])
            given = {word.partition(':=')[0] for word in words[4:] if ':=' in word}
            assert given <= set(declared), shlex.join(words)
            required = {name for name, needed in declared.items() if needed}
            assert required <= given or '-s' in words, shlex.join(words)

    @pytest.mark.slow
    def test_python_scripts_have_the_options(self) -> None:
        scripts = [words[1:] for _, words in COMMANDS if program(words).startswith('python')]
        scripts = [words for words in scripts if not words[0].startswith('-')]
        assert len(scripts) > 5
        for script, *arguments in scripts:
            assert (ROOT / script).is_file(), script
            told = help_of(script)
            for argument in arguments:
                if argument == '--ros-args':
                    break
                if argument.startswith('--'):
                    assert argument in told, f'{script} has no {argument}'

    def test_services_topics_and_nodes_are_ours(self) -> None:
        calls = [words for _, words in COMMANDS if words[:3] == ['ros2', 'service', 'call']]
        assert calls
        for words in calls:
            kind = words[4].removeprefix('selavpr/srv/')
            assert (ROOT / 'srv' / f'{kind}.srv').is_file(), shlex.join(words)

    def test_pip_installs_extras_that_are_declared(self) -> None:
        declared = (ROOT / 'setup.py').read_text(encoding='utf-8')
        wanted = {
            extra
            for text in TEXTS
            for found in re.findall(r"pip install '\.\[([\w,]+)\]'", text.whole)
            for extra in found.split(',')
        }
        wanted |= set(re.findall(r'extras: `([\w`, ]+)`', README.whole)[0].split('`, `'))
        assert wanted >= {'weights', 'train', 'report', 'bags', 'gpu', 'dev'}
        assert [extra for extra in sorted(wanted) if f"'{extra}'" not in declared] == []


@functools.cache
def help_of(script: str) -> str:
    """What a script says to --help, also of the commands below it; its source where it cannot run.

    Some need what may not be installed here: GTSAM, rclpy.
    """
    source = (ROOT / script).read_text(encoding='utf-8')
    below = re.findall(r'@app\.command\(\)\ndef (\w+)', source)
    told = ' '.join(output(script, *name, '--help') for name in ([], *([name] for name in below)))
    return told if '--help' in told else source


def output(*words: str) -> str:
    """What a script of ours prints."""
    ours = f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'
    here = {**os.environ, 'PYTHONPATH': ours, 'COLUMNS': '200'}
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=here, capture_output=True, text=True, timeout=150
    )
    return done.stdout


def declared_arguments(file: str) -> dict[str, bool]:
    """Argument -> whether it must be given; with those of the launch file it includes."""
    source = (ROOT / 'launch' / file).read_text(encoding='utf-8')
    included = file != 'localize.launch.py' and "'localize.launch.py'" in source
    found = dict.fromkeys(declared_arguments('localize.launch.py'), False) if included else {}
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    for call in calls:
        declares = getattr(call.func, 'id', '') in ('declare', 'DeclareLaunchArgument')
        if declares and isinstance(call.args[0], ast.Constant):
            given = {keyword.arg for keyword in call.keywords}
            found[str(call.args[0].value)] = 'default_value' not in given
    return found
