# SPDX-License-Identifier: MIT
"""A short form of `make campaign`: hostile messages and calls at a node, and seconds of hours."""

from __future__ import annotations

from pathlib import Path

import campaign
from hostile import hours
import pytest


@pytest.mark.parametrize(('what', 'count'), [('messages', 200), ('calls', 60)])
def test_no_message_and_no_call_does_harm(ros: None, what: str, count: int) -> None:
    results = list(campaign.cases(what, 0, count))
    assert not [result for result in results if result['outcome'] in campaign.BAD]
    assert [result['outcome'] for result in results].count('kept') == 1
    assert len(results) == count + 1


@pytest.mark.parametrize('slam', [False, True])
def test_hours_go_on_where_they_ended(ros: None, tmp_path: Path, slam: bool) -> None:
    keep = tmp_path / 'hours.jsonl'
    hours.hours(12.0, slam, keep)
    first = hours.kept(keep)
    assert len(first) >= 2 and first[-1]['processed'] > 0
    hours.hours(18.0, slam, keep)
    samples = hours.kept(keep)
    assert samples[: len(first)] == first and {sample['run'] for sample in samples} == {1, 2}
