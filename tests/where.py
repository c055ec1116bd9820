# SPDX-License-Identifier: MIT
"""Where the checkout, the tests' own helpers and the shared image sets lie."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
SHARED = ROOT.parent / 'shared' / 'data'
