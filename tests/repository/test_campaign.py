# SPDX-License-Identifier: MIT
"""A short form of `make campaign`: hostile files, in a process that may die."""

from __future__ import annotations

import campaign
import pytest


@pytest.mark.parametrize(('what', 'count'), [('maps', 80), ('images', 40)])
def test_no_hostile_file_does_harm(what: str, count: int) -> None:
    results = campaign.files(what, count, seed=0)
    assert len(results) == count
    assert not [result for result in results if result['outcome'] in campaign.BAD]
    assert {result['outcome'] for result in results} == {'used', 'refused'}


def test_a_case_that_does_harm_is_told_with_its_seed(capsys: pytest.CaptureFixture[str]) -> None:
    given = campaign.argparse.Namespace(what='maps', seed=5, count=2)
    results = [{'seed': 5, 'outcome': 'used'}, {'seed': 6, 'outcome': 'crash', 'told': 'SIGSEGV'}]
    assert campaign.report(given, results, 1.0) == 1
    assert '"seed": 6' in capsys.readouterr().out
    assert campaign.report(given, results[:1], 1.0) == 0
