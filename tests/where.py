# SPDX-License-Identifier: MIT
"""Where the checkout, the tests' own helpers and the shared image sets lie."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
SHARED = ROOT.parent / 'shared' / 'data'

# Folders and files, below tests/, of tests that take minutes: not in `make quick`.
SLOW = (
    'bags/test_damage.py',
    'benchmark',
    'data/test_damaged.py',
    'docs',
    'doctor',
    'evaluation/test_evaluate.py',
    'examples',
    'features/test_fused.py',
    'features/test_onnx_export.py',
    'features/test_parity.py',
    'features/test_weights.py',
    'geometry/test_geometry_pose.py',
    'graph',
    'launch',
    'maps/test_index.py',
    'maps/test_prune.py',
    'maps/test_robot_mask.py',
    'maps/test_shards.py',
    'maps/test_work_folder.py',
    'maps/test_writer.py',
    'matching/test_kernel.py',
    'node',
    'replay',
    'repository/test_campaign.py',
    'repository/test_add_drift.py',
    'repository/test_kidnapping.py',
    'repository/test_lint.py',
    'repository/test_run.py',
    'repository/test_setup_env.py',
    'repository/test_unused.py',
    'runtime/test_needs.py',
    'runtime/test_threads.py',
    'slam/test_slam.py',
    'slam/test_straight.py',
    'training/test_ablate.py',
    'training/test_trainer.py',
    'update',
)

# Those that run robots, nodes and commands in real time: they run one after the other, with no
# other test beside them.
LIVE = (
    'benchmark',
    'docs',
    'doctor',
    'examples',
    'launch',
    'node',
    'replay',
    'repository/test_campaign.py',
    'repository/test_kidnapping.py',
    'runtime/test_threads.py',
)
