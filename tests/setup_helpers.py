# SPDX-License-Identifier: MIT
"""The set-up script: what it checks, when it works again, and that its result works."""

from __future__ import annotations

from types import ModuleType

import pytest

from where import ROOT


@pytest.fixture
def setup_env(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tools/setup_env.py as a module."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    import setup_env

    return setup_env


class NoProgress:
    """Stands in for Progress where nothing is shown."""

    label, detail, fraction, measure = 'test', '', None, None
