# SPDX-License-Identifier: MIT
"""docs/recipes.md and what it tells people to copy: files that load, edges that are right."""

import sys

from selavpr_model.records import SECOND

from where import ROOT

sys.path.insert(0, str(ROOT / 'examples' / 'rtabmap'))

START_NS = 1_700_000_000 * SECOND
