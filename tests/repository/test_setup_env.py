# SPDX-License-Identifier: MIT
"""The set-up script: what it checks, when it works again, and that its result works."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
from setup_helpers import NoProgress

from where import ROOT


class TestEnvironment:
    """clean_environment leaves out what another ROS or venv set."""

    def test_a_sourced_ros_does_not_reach_the_commands(
        self, setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        foreign = ('PYTHONPATH', 'LD_LIBRARY_PATH', 'ROS_DISTRO', 'VIRTUAL_ENV', 'PIP_TARGET',
                   '_ROS_WHEELS_BOOTSTRAP_COMPLETE', 'COLCON_PREFIX_PATH')  # fmt: skip
        for name in foreign:
            monkeypatch.setenv(name, '/opt/ros/jazzy')
        monkeypatch.setenv('AMENT_PREFIX_PATH', '/opt/ros/jazzy')
        monkeypatch.setenv('PIP_CERT', '/kept')
        import setup_progress

        made = setup_progress.clean_environment(Path('/v/bin'))
        assert not set(foreign) & set(made)
        assert (made['AMENT_PREFIX_PATH'], made['PIP_CERT']) == ('/v', '/kept')
        assert made['PATH'].startswith('/v/bin:')

    def test_a_failing_command_shows_its_words_and_its_end(
        self, setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        import setup_progress

        monkeypatch.setattr(setup_progress, 'ROOT', tmp_path)
        command = [sys.executable, '-c', 'print("disk full"); raise SystemExit(3)']
        with pytest.raises(setup_env.SetupError, match=r'(?s)disk full.*ended with 3, see .*log'):
            setup_progress.run(command, NoProgress(), lambda line: None)


class TestLock:
    """only_one lets one set-up work at a time."""

    def test_the_second_waits_and_says_so(self, setup_env: ModuleType, tmp_path: Path) -> None:
        import setup_progress

        code = (
            'import sys; from pathlib import Path; from setup_progress import only_one\n'
            'with only_one(Path(sys.argv[1])): print("in")'
        )
        words = [sys.executable, '-c', code, str(tmp_path / 'lock')]
        with setup_progress.only_one(tmp_path / 'lock'):
            second = subprocess.Popen(words, cwd=ROOT / 'tools', stdout=subprocess.PIPE, text=True)
            assert second.stdout is not None
            assert 'another set-up is at work' in second.stdout.readline()
            assert second.poll() is None
        assert second.communicate(timeout=30)[0] == 'in\n'


class TestStages:
    """A stage runs when something it depends on changed, and only then."""

    @pytest.fixture
    def ran(self, setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
        """Runs three stages of which the second reads a file; returns the names that ran."""
        source = tmp_path / 'input.txt'
        source.write_text('one')
        log: list[str] = []

        def stage(name: str) -> Callable[..., None]:
            def work(venv: Path, progress: Any) -> None:
                log.append(name)
                if (tmp_path / f'kill-{name}').exists():
                    raise KeyboardInterrupt

            return work

        made = [(name, stage(name), [source] if name == 'b' else []) for name in 'abc']
        monkeypatch.setattr(setup_env, 'ROOT', tmp_path)
        monkeypatch.setattr(setup_env, 'stages', lambda weights, ros: made)

        def run() -> str:
            log.clear()
            (tmp_path / 'venv').mkdir(exist_ok=True)
            setup_env.set_up(tmp_path / 'venv')
            return ''.join(log)

        return run

    @pytest.mark.parametrize('ros', ['kilted', 'jazzy'])
    def test_every_input_is_there(self, setup_env: ModuleType, ros: str) -> None:
        for name, _, inputs in setup_env.stages(True, ros):
            assert [path for path in inputs if not path.is_file()] == [], name

    def test_a_second_run_does_nothing(self, ran: Any) -> None:
        assert [ran(), ran()] == ['abc', '']

    def test_a_changed_input_repeats_its_stage_and_those_after(
        self, ran: Any, tmp_path: Path
    ) -> None:
        ran()
        (tmp_path / 'input.txt').write_text('two')
        assert [ran(), ran()] == ['bc', '']

    def test_a_killed_stage_runs_again(self, ran: Any, tmp_path: Path) -> None:
        (tmp_path / 'kill-b').touch()
        with pytest.raises(KeyboardInterrupt):
            ran()
        (tmp_path / 'kill-b').unlink()
        assert ran() == 'bc'


class TestRos:
    """Which ROS the environment has."""

    @pytest.fixture(autouse=True)
    def unset(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv('ROS', raising=False)

    def test_the_one_asked_for_stays_until_another_is(
        self, setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        venv = tmp_path / 'venv'
        assert setup_env.chosen_ros(venv) == 'kilted'
        monkeypatch.setenv('ROS', 'jazzy')
        setup_env.make_venv(venv, NoProgress())
        assert setup_env.is_usable(venv)
        monkeypatch.delenv('ROS')
        assert setup_env.chosen_ros(venv) == 'jazzy' and setup_env.is_usable(venv)
        monkeypatch.setenv('ROS', 'kilted')
        assert not setup_env.is_usable(venv)  # the wheels of both have the same names

    def test_another_ros_repeats_all(
        self, setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv('ROS', 'kilted')
        before = [current for _, current in setup_env.outdated(tmp_path)]
        monkeypatch.setenv('ROS', 'jazzy')
        after = [current for _, current in setup_env.outdated(tmp_path)]
        assert len(before) == len(after) and not set(before) & set(after)

    def test_one_without_wheels_is_refused(
        self, setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv('ROS', 'humble')
        with pytest.raises(setup_env.SetupError, match='ROS=humble: expected kilted or jazzy'):
            setup_env.chosen_ros(tmp_path)


class TestLaunchers:
    """What link_sources writes."""

    def test_an_executable_starts_from_a_path_with_spaces(
        self, setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        source, venv = tmp_path / 'my source', tmp_path / 'my venv'
        source.mkdir()
        (source / 'hello.py').write_text(
            'import sys\ndef main():\n    print(sys.argv[1:])\n    return 7\n'
        )
        monkeypatch.setattr(setup_env, 'ROOT', source)
        monkeypatch.setattr(setup_env, 'read_entry_points', lambda: {'hello': 'hello:main'})
        subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(venv)], check=True)
        (source / 'launch').mkdir()
        (source / 'launch' / 'new.launch.py').touch()
        shared = venv / 'share' / 'selavpr' / 'launch'
        shared.mkdir(parents=True)
        (shared / 'gone.launch.py').touch()
        setup_env.link_sources(venv, NoProgress())
        made = subprocess.run(
            [str(venv / 'lib' / 'selavpr' / 'hello'), 'a b'], capture_output=True, text=True
        )
        assert (made.returncode, made.stdout) == (7, "['a b']\n")
        assert [path.readlink() for path in shared.iterdir()] == [
            source / 'launch' / 'new.launch.py'
        ]

    def test_a_link_to_the_sources_is_removed_without_the_sources(
        self, setup_env: ModuleType, tmp_path: Path
    ) -> None:
        (tmp_path / 'source').mkdir()
        (tmp_path / 'source' / 'kept.py').touch()
        (tmp_path / 'link').symlink_to(tmp_path / 'source')
        setup_env.remove(tmp_path / 'link')
        assert not (tmp_path / 'link').exists()
        assert (tmp_path / 'source' / 'kept.py').exists()


class TestWeights:
    """The stage that has the backbone in the cache."""

    @pytest.fixture
    def fetched(
        self, setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> Path:
        """A file that `selavpr weights fetch` claims to have brought."""
        path = tmp_path / 'a cache' / 'vits14.safetensors'
        path.parent.mkdir()
        path.touch()
        monkeypatch.setattr(
            setup_env, 'run', lambda command, progress, watch: watch(f'{path} (88 MB)')
        )
        setup_env.fetch_weights(tmp_path, NoProgress())
        return path

    def test_they_are_there_until_the_file_is_gone(
        self, setup_env: ModuleType, fetched: Path, tmp_path: Path
    ) -> None:
        assert setup_env.has_weights(tmp_path)
        fetched.unlink()
        assert not setup_env.has_weights(tmp_path)

    def test_another_cache_does_not_have_them(
        self, setup_env: ModuleType, fetched: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setenv('SELAVPR_HOME', '/elsewhere')
        assert not setup_env.has_weights(tmp_path)

    def test_a_command_that_brings_nothing_is_an_error(
        self, setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(setup_env, 'run', lambda command, progress, watch: watch('hello'))
        with pytest.raises(setup_env.SetupError, match='expected the path of a file'):
            setup_env.fetch_weights(tmp_path, NoProgress())


class TestResult:
    """The environment this test runs in."""

    def test_python_comes_from_the_source_tree(self) -> None:
        code = 'import selavpr_model, selavpr_ros; print(selavpr_model.__file__)'
        made = run_clean(['-c', code])
        assert made.stdout.strip() == str(ROOT / 'selavpr_model' / '__init__.py')

    def test_messages_travel_between_processes_with_nothing_sourced(self) -> None:
        code = """
import rclpy, sys, time
from selavpr.msg import PlaceHypotheses
rclpy.init()
node, got = rclpy.create_node(sys.argv[1]), []
if sys.argv[1] == 'ear':
    node.create_subscription(PlaceHypotheses, 'hypotheses', got.append, 10)
else:
    mouth = node.create_publisher(PlaceHypotheses, 'hypotheses', 10)
end = time.monotonic() + 60
while not got and time.monotonic() < end:
    if sys.argv[1] == 'mouth':
        mouth.publish(PlaceHypotheses(map_id='town', map_revision=3))
    rclpy.spin_once(node, timeout_sec=0.05)
print(got[0].map_id, got[0].map_revision)
"""
        words = [f'{sys.prefix}/bin/python', '-c', code]
        mouth = subprocess.Popen([*words, 'mouth'], env=bare_environment())
        try:
            assert run_clean(['-c', code, 'ear']).stdout.split() == ['town', '3']
        finally:
            mouth.kill()
            mouth.wait()

    def test_a_second_make_setup_takes_under_two_seconds(self, setup_env: ModuleType) -> None:
        if list(setup_env.outdated(Path(sys.prefix))):
            pytest.skip('sources changed since the set-up: run make setup')
        before = os.times()
        made = subprocess.run(
            ['make', '-C', str(ROOT), 'setup'], capture_output=True, text=True, check=True
        )
        after = os.times()
        assert 'up to date' in made.stdout
        # Work, not waiting: other processes on this computer must not fail the test.
        spent = after.children_user + after.children_system
        assert spent - before.children_user - before.children_system < 2.0


def bare_environment() -> dict[str, str]:
    """As in a new shell: no ROS, no venv, no library path."""
    kept = {k: v for k, v in os.environ.items() if k in ('HOME', 'ROS_DOMAIN_ID')}
    return kept | {'PATH': '/usr/bin:/bin', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}


def run_clean(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """The venv's Python in a bare environment, away from the repository."""
    return subprocess.run(
        [f'{sys.prefix}/bin/python', *arguments], cwd='/', env=bare_environment(),
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
