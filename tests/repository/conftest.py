# SPDX-License-Identifier: MIT
"""What tests of the repository share."""

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
