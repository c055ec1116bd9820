# SPDX-License-Identifier: MIT
"""The executable starts where ROS cannot write its log, and says so in one line."""

from __future__ import annotations

import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest

from selavpr_ros.process import unwritable


@pytest.mark.parametrize(
    ('environment', 'expected'),
    [
        ({}, 'HOME is not set'),
        ({'HOME': '/proc/no'}, '/proc/no/.ros/log cannot be written'),
        ({'ROS_HOME': '/proc/no', 'HOME': '/tmp'}, '/proc/no/log cannot be written'),
        ({'ROS_LOG_DIR': '/proc/no', 'HOME': '/tmp'}, '/proc/no cannot be written'),
    ],
)
def test_where_the_log_of_ros_cannot_be_written(environment, expected) -> None:
    assert unwritable(environment).startswith(expected)


def test_a_folder_that_can_be_written_is_well(tmp_path: Path) -> None:
    assert unwritable({'HOME': str(tmp_path)}) == unwritable({'ROS_LOG_DIR': str(tmp_path)}) == ''


def test_the_node_runs_without_a_home(tmp_path: Path) -> None:
    given = {k: v for k, v in os.environ.items() if k not in ('HOME', 'ROS_LOG_DIR', 'ROS_HOME')}
    given |= {'SELAVPR_HOME': str(tmp_path), 'TMPDIR': str(tmp_path)}
    code = 'from selavpr_ros.main import main; main(["--ros-args", "-p", "autostart:=false"])'
    node = subprocess.Popen(
        [sys.executable, '-c', code], env=given, stderr=subprocess.PIPE, text=True
    )
    assert node.stderr is not None
    line = next(line for line in node.stderr if line.startswith('localizer:'))
    patience = time.monotonic() + 60.0
    while not list(tmp_path.glob('ros_log*/*')) and time.monotonic() < patience:
        time.sleep(0.05)  # until ROS has begun its log, and takes signals
    node.send_signal(signal.SIGINT)
    rest = node.communicate(timeout=60)[1]
    assert line.startswith('localizer: HOME is not set') and 'set ROS_LOG_DIR' in line
    assert 'RCLError' not in rest and list(tmp_path.glob('ros_log*'))


@pytest.mark.parametrize('keys', ['none', 'of another'])
def test_without_keys_a_secured_node_ends_in_one_line(tmp_path: Path, keys: str) -> None:
    """It never starts unsecured where SROS2 is enforced."""
    enclave = tmp_path / 'enclaves' / 'localizer'
    if keys != 'none':
        enclave.mkdir(parents=True)
        for name in ('identity_ca.cert.pem', 'cert.pem', 'key.pem', 'permissions_ca.cert.pem',
                     'governance.p7s', 'permissions.p7s'):  # fmt: skip
            (enclave / name).write_text('no key')
    given = {**os.environ, 'ROS_SECURITY_ENABLE': 'true', 'ROS_SECURITY_STRATEGY': 'Enforce',
             'ROS_SECURITY_KEYSTORE': str(tmp_path), 'ROS_LOG_DIR': str(tmp_path)}  # fmt: skip
    code = 'from selavpr_ros.main import main; main(["--ros-args", "--enclave", "/localizer"])'
    done = subprocess.run(
        [sys.executable, '-c', code], env=given, capture_output=True, text=True, timeout=60
    )
    line = next(line for line in done.stderr.splitlines() if line.startswith('localizer:'))
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'ROS does not start' in line and 'ROS_SECURITY_KEYSTORE' in line
