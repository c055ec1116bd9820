# SPDX-License-Identifier: MIT
"""What tests of launch files share."""

from __future__ import annotations

import sys
from typing import Any

from launch_helpers import Keeper, load
import pytest


@pytest.fixture
def launch_file(monkeypatch: pytest.MonkeyPatch) -> Any:
    """launch_file('localize') -> the module, on top of the keepers."""
    for name in ('launch', 'launch.actions', 'launch.substitutions', 'launch_ros',
                 'launch.launch_description_sources', 'launch_ros.actions',
                 'launch_ros.event_handlers', 'launch_ros.parameter_descriptions',
                 'launch_ros.substitutions'):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, Keeper(name))
    return load
