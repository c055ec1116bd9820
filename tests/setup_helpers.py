# SPDX-License-Identifier: MIT
"""What tests of the set-up share."""

from __future__ import annotations


class NoProgress:
    """Stands in for Progress where nothing is shown."""

    label, detail, fraction, measure = 'test', '', None, None
