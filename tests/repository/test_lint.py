# SPDX-License-Identifier: MIT
"""`make lint` is clean, so `make test` is all that CI has to run; and what runs it elsewhere."""

from __future__ import annotations

from pathlib import Path
import re
import subprocess
import sys

import pytest
import yaml

from where import LIVE, ROOT, SLOW, TESTS

TOOLS = ('ruff check', 'ruff format', 'mypy', 'codespell', 'clang-format')
WORKFLOWS = sorted((ROOT / '.github' / 'workflows').glob('*.yml'))
FORMS = sorted((ROOT / '.github').rglob('*.yml'))


def lint_lines() -> list[str]:
    """The commands of `make lint` but the set-up."""
    words = ['make', '--no-print-directory', '--dry-run', '-C', str(ROOT), 'lint']
    made = subprocess.run(words, capture_output=True, text=True, check=True)
    return [line for line in made.stdout.splitlines() if line.startswith('.venv/bin/')]


@pytest.mark.parametrize('line', lint_lines())
def test_make_lint_is_clean(line: str) -> None:
    command = line.replace('.venv/bin', f'{sys.prefix}/bin')
    made = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert made.returncode == 0, made.stdout + made.stderr


def test_ruff_looks_at_every_file_with_code() -> None:
    words = [f'{sys.prefix}/bin/ruff', 'check', '--show-files', '.']
    seen = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    words = ['git', '-C', str(ROOT), 'ls-files', '*.py', '*.pyi']
    tracked = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    assert not {str(ROOT / path) for path in tracked} - set(seen.splitlines())


@pytest.mark.parametrize('tool', TOOLS)
def test_make_lint_and_pre_commit_run_every_tool(tool: str) -> None:
    assert sum(line.startswith(f'.venv/bin/{tool}') for line in lint_lines()) == 1
    hooks = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos'][0]['hooks']
    assert sum(hook['entry'].startswith(f'.venv/bin/{tool}') for hook in hooks) == 1


def test_a_wrong_spelling_is_found(tmp_path: Path) -> None:
    (tmp_path / 'text.md').write_text('It rec' + 'ieves images.\n')
    words = [f'{sys.prefix}/bin/codespell', '--toml', str(ROOT / 'pyproject.toml'), str(tmp_path)]
    made = subprocess.run(words, capture_output=True, text=True)
    assert made.returncode and 'receives' in made.stdout


@pytest.mark.parametrize('path', FORMS, ids=lambda path: path.name)
def test_every_workflow_and_form_is_yaml_with_a_name_or_switch(path: Path) -> None:
    read = yaml.safe_load(path.read_text())
    assert set(read) & {'name', 'blank_issues_enabled'}


def test_every_make_target_of_a_workflow_exists() -> None:
    targets = set(re.findall(r'^([a-z]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE))
    used = {w for path in WORKFLOWS for w in re.findall(r'run: make (\w+)', path.read_text())}
    assert used == {'lint', 'docs'} and used <= targets


def test_the_workflows_cover_the_pythons_and_distributions_we_name() -> None:
    jobs = {p.stem: yaml.safe_load(p.read_text())['jobs'] for p in WORKFLOWS}
    matrix = jobs['test']['whole']['strategy']['matrix']
    assert ['3.10', *matrix['python']] == ['3.10', '3.11', '3.12', '3.13']
    wheels = {path.stem for path in (ROOT / 'requirements').glob('ros_*.txt')}
    assert {f'ros_{r}' for r in (*matrix['ros'], *(e['ros'] for e in matrix['include']))} == wheels
    distros = jobs['ros']['colcon']['strategy']['matrix']['distro']
    assert distros == ['humble', 'jazzy', 'kilted', 'rolling']


def test_the_folders_that_python_310_tests_are_there() -> None:
    named = re.findall(r'tests/\w+', (ROOT / '.github' / 'workflows' / 'test.yml').read_text())
    assert len(named) >= 10
    assert not [name for name in named if not (ROOT / name).is_dir()]


def test_make_quick_leaves_out_what_is_slow_and_only_that() -> None:
    assert not [name for name in (*SLOW, *LIVE) if not (TESTS / name).exists()]
    words = ['make', '--no-print-directory', '--dry-run', '-C', str(ROOT), 'quick']
    made = subprocess.run(words, capture_output=True, text=True, check=True)
    assert 'tests/run.py --quick' in made.stdout.splitlines()[-1]
    some = [str(TESTS / 'replay' / 'test_offline.py'), str(TESTS / 'runtime')]
    options = ['-m', 'not slow', '--collect-only', '-q', '-p', 'no:cacheprovider']
    words = [sys.executable, '-m', 'pytest', *options, *some]
    listed = subprocess.run(words, capture_output=True, text=True, cwd=ROOT).stdout
    assert 'tests/runtime/test_home.py' in listed and 'test_offline.py' not in listed
