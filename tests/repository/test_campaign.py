# SPDX-License-Identifier: MIT
"""A short form of `make campaign`: hostile files, kills, full disks; in processes of their own."""

from __future__ import annotations

import argparse
from pathlib import Path
import sys

import campaign
from hostile import disks, hours, trial
from hostile.trial import measured, tried
import pytest

from selavpr_model.errors import InputError


@pytest.mark.parametrize(('what', 'count'), [
    ('maps', 40), ('images', 15), ('bags', 20), ('weights', 20), ('poses', 40),
])  # fmt: skip
def test_no_hostile_file_does_harm(what: str, count: int) -> None:
    results = list(campaign.cases(what, 0, count))
    assert len(results) == count
    assert not [result for result in results if result['outcome'] in campaign.BAD]
    assert {result['outcome'] for result in results} == {'used', 'refused'}


def test_no_kill_loses_a_map() -> None:
    results = list(campaign.cases('kills', 0, 18))
    assert not [result for result in results if result['outcome'] in campaign.BAD]
    assert {'old map', 'new map'} <= {result['outcome'] for result in results}


def test_no_full_disk_loses_a_map() -> None:
    if not disks.possible():
        pytest.skip('this system allows no mounts of our own')
    results = list(campaign.cases('disks', 0, 18))
    assert not [result for result in results if result['outcome'] in campaign.BAD]
    assert {result['outcome'] for result in results} == {'old map', 'new map'}
    told = [result['told'] for result in results if result['outcome'] == 'old map']
    assert all(told) and any('free some space' in text for text in told)


def given(**values: object) -> argparse.Namespace:
    return argparse.Namespace(**{'what': 'maps', 'seed': 5, 'count': 2, **values})


def test_a_case_that_does_harm_is_told_with_its_seed(capsys: pytest.CaptureFixture[str]) -> None:
    results = [{'seed': 5, 'outcome': 'used'}, {'seed': 6, 'outcome': 'crash', 'told': 'SIGSEGV'}]
    assert campaign.report(given(), results, 1.0) == 1
    assert '"seed": 6' in capsys.readouterr().out
    assert campaign.report(given(), results[:1], 1.0) == 0


class Bad:
    """An attempt of which each case goes wrong in another way."""

    def make(self, seed: int) -> str:
        self.seed = seed
        return 'bad'

    def use(self) -> str:
        match self.seed:
            case 0:
                raise InputError('expected a, got b; do c')
            case 1:
                raise InputError('\x1b[2J' + 'x' * 10**6)  # is escaped and cut
            case 2:
                raise ZeroDivisionError
            case 3:
                return 'a wrong pose'
            case _:
                return 'x' * len(bytearray(200_000_000)[:0])


def test_what_goes_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, 'MOST_KB', 100_000)
    outcomes = [measured(Bad(), seed)['outcome'] for seed in range(5)]
    assert outcomes == ['refused', 'refused', 'traceback', 'wrong', 'memory']


def test_a_process_that_dies_is_seen_and_the_next_case_goes_on(tmp_path: Path) -> None:
    script = tmp_path / 'dies.py'
    script.write_text(
        'import json, os, sys\n'
        'seed, count = (int(a.partition("=")[2]) for a in sys.argv[1:])\n'
        'for n in range(seed, seed + count):\n'
        '    if n == 1:\n        os.abort()\n'
        '    print(json.dumps({"seed": n, "outcome": "used"}), flush=True)\n'
    )
    results = list(tried([sys.executable, str(script)], 0, 3))
    assert [result['outcome'] for result in results] == ['used', 'crash', 'used']
    assert [result['seed'] for result in results] == [0, 1, 2]


def test_what_was_tried_is_not_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    keep = tmp_path / 'poses.jsonl'
    assert campaign.main(['poses', '--count=4', '--seed=7', f'--keep={keep}']) == 0
    first = keep.read_text().splitlines()
    assert campaign.main(['poses', '--count=6', '--seed=7', f'--keep={keep}']) == 0
    assert keep.read_text().splitlines()[:4] == first and len(campaign.kept(keep)) == 6
    assert 'seeds 7 to 12' in capsys.readouterr().out


def sample(seconds: float, **values: float) -> hours.Sample:
    usual = {'kb': 500_000, 'descriptors': 40, 'threads': 20, 'ms': 50.0, 'cpu_ms': seconds * 900,
             'processed': seconds * 10, 'places': 0, 'map_bytes': 0}  # fmt: skip
    return {'run': 1, 'seconds': seconds, **usual, **values}


def test_hours_tell_a_leak_from_a_map_that_grows(capsys: pytest.CaptureFixture[str]) -> None:
    times = range(0, 3600, 5)
    assert hours.report([sample(t) for t in times]) == 0
    assert 'memory +0.00 MB/h' in capsys.readouterr().out
    assert hours.report([sample(t, kb=500_000 + t) for t in times]) == 1
    assert 'memory +3.69 MB/h' in capsys.readouterr().out
    grows = [sample(t, kb=500_000 + t, map_bytes=1024 * t) for t in times]
    assert hours.report(grows) == 0
    assert hours.report([sample(t, descriptors=40 + t // 60) for t in times]) == 1
    two = [*(sample(t) for t in times), *(sample(t, run=2, kb=900_000) for t in times)]
    assert hours.report(two) == 0 and '2.00 h in 2 runs' in capsys.readouterr().out
