# SPDX-License-Identifier: MIT
"""What tests of the repository share."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from launch_helpers import Keeper, load
import pytest

from where import ROOT


@pytest.fixture
def setup_env(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tools/setup_env.py as a module."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    import setup_env

    return setup_env


@pytest.fixture
def launch_file(monkeypatch: pytest.MonkeyPatch) -> Any:
    """launch_file('localize') -> the module, on top of the keepers."""
    for name in ('launch', 'launch.actions', 'launch.substitutions', 'launch_ros',
                 'launch.launch_description_sources', 'launch_ros.actions',
                 'launch_ros.event_handlers', 'launch_ros.parameter_descriptions',
                 'launch_ros.substitutions'):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, Keeper(name))
    return load
