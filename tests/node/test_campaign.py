# SPDX-License-Identifier: MIT
"""A short form of `make campaign`: hostile messages and calls at a real node."""

from __future__ import annotations

import campaign
import campaign_node
import pytest


@pytest.mark.parametrize(('what', 'count'), [('messages', 200), ('calls', 60)])
def test_no_message_and_no_call_does_harm(ros: None, what: str, count: int) -> None:
    results = campaign_node.campaign(what, count, seed=0)
    assert len(results) == count
    assert not [result for result in results if result['outcome'] in campaign.BAD]
