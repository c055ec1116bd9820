# SPDX-License-Identifier: MIT
"""Where the checkout, the tests' own helpers and the shared image sets lie."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
SHARED = ROOT.parent / 'shared' / 'data'

# Folders and files, below tests/, of tests that take minutes: not in `make quick`.
SLOW = (
    'benchmark',
    'evaluation/test_evaluate.py',
    'features/test_fusion.py',
    'features/test_parity.py',
    'features/test_weights.py',
    'node',
    'replay',
    'repository/test_campaign.py',
    'repository/test_kidnapping.py',
    'repository/test_launch.py',
    'repository/test_readme.py',
    'repository/test_recipes.py',
    'slam/test_slam.py',
    'training/test_ablate.py',
    'training/test_train.py',
)
