# SPDX-License-Identifier: MIT
"""What has to be on the computer before setup_env.py can start."""

from __future__ import annotations

import importlib.util
from pathlib import Path
import platform
import shutil
import sys
import sysconfig

from setup_progress import SetupError

PYTHON_VERSIONS = ((3, 11), (3, 13))  # first and last that all pinned wheels exist for


def check_tools() -> None:
    """Name every missing tool with the line that installs it."""
    wrong = []
    first, last = PYTHON_VERSIONS
    if not first <= sys.version_info[:2] <= last:
        wrong.append(
            f'python3 is {platform.python_version()}; the ROS 2 wheels and pins need '
            f'{first[0]}.{first[1]} to {last[0]}.{last[1]}: make PYTHON=python3.11 ...'
        )
    if (platform.system(), platform.machine()) != ('Linux', 'x86_64'):
        wrong.append(
            f'the ROS 2 wheels exist for Linux on x86_64, this is {platform.system()} on '
            f'{platform.machine()}: install ROS 2 with apt and use colcon build'
        )
    packages = []
    if not all(map(has_module, ('venv', 'ensurepip'))):
        packages.append('python3-venv')
    if not Path(sysconfig.get_path('include'), 'Python.h').exists():
        packages.append('python3-dev')
    packages += [tool for tool in ('gcc', 'g++', 'make', 'git') if shutil.which(tool) is None]
    wrong += [f'{name} is missing: sudo apt install {name}' for name in packages]
    if len(packages) > 1:
        wrong.append(f'all at once: sudo apt install {" ".join(packages)}')
    if wrong:
        raise SetupError('\n'.join(wrong))


def has_module(name: str) -> bool:
    """Whether Python finds a module, without leaving anything of it imported."""
    return importlib.util.find_spec(name) is not None
