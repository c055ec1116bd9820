# SPDX-License-Identifier: MIT
"""Hostile input by the thousand, kills, full disks and hours: what becomes of each?

python tools/campaign.py maps --count 1000 [--seed 0]      map folders with right checksums
python tools/campaign.py images|bags|weights|poses         files of strangers
python tools/campaign.py messages --count 10000            messages on the topics of a node
python tools/campaign.py calls --count 1000                calls of its services
python tools/campaign.py kills --count 1000                SIGKILL of what writes maps
python tools/campaign.py disks --count 100                 disks that are full, of the same
python tools/campaign.py hours --seconds 3600 [--slam]     a camera at 30 Hz: memory, handles, time

A case is its seed: the same seed is the same case. With --keep FILE each result is written there
at once, and the same command goes on behind the last. Prints the counts, and each bad case with
its seed; ends with 1 where there is one.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
import json
from pathlib import Path
import sys
import time
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'tools'), str(ROOT / 'tests')]
FILES = ('maps', 'images', 'bags', 'weights', 'poses')
BAD = ('traceback', 'crash', 'slow', 'memory', 'wrong', 'silent', 'lost')


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = (*FILES, 'messages', 'calls', 'kills', 'disks')
    parser.add_argument('what', choices=(*kinds, 'hours', 'try'))
    parser.add_argument('--count', type=int, default=1000)
    parser.add_argument('--seed', type=int, default=0, help='of the first case')
    parser.add_argument('--keep', type=Path, help='results, a JSON object a line')
    parser.add_argument('--seconds', type=float, default=3600.0, help='of hours')
    parser.add_argument('--slam', action='store_true', help='hours: the map grows')
    parser.add_argument('--of', choices=kinds, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.what == 'try':
        return _try(given.of, given.seed, given.count)
    if given.what == 'hours':
        from hostile.hours import hours

        return hours(given.seconds, given.slam, given.keep or Path('build/hours.jsonl'))
    started = time.monotonic()
    before = kept(given.keep)
    last = max((result['seed'] for result in before), default=given.seed - 1)
    left = given.seed + given.count - 1 - last
    fresh = cases(given.what, last + 1, left) if left > 0 else ()
    results = [*before, *keeping(fresh, given.keep)]
    return report(given, results, time.monotonic() - started)


def kept(file: Path | None) -> list[dict[str, Any]]:
    """Results of before."""
    if file is None or not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines()]


def keeping(results: Iterable[dict[str, Any]], file: Path | None) -> Iterator[dict[str, Any]]:
    """The same, each written at once."""
    for result in results:
        if file is not None:
            with file.open('a') as out:
                out.write(json.dumps(result) + '\n')
        yield result


def cases(what: str, seed: int, count: int) -> Iterator[dict[str, Any]]:
    """The result of each case, as it comes."""
    if what in ('messages', 'calls'):
        from hostile.node import campaign

        return campaign(what, seed, count)
    if what == 'kills':
        from hostile.kills import kills

        return kills(seed, count)
    from hostile import disks
    from hostile.trial import tried

    command = [sys.executable, __file__, 'try', '--of', what]
    if what == 'disks' and not disks.possible():
        sys.exit('campaign: this system allows no mounts of our own (unshare), so no disk is full')
    return tried([*disks.OWN_MOUNTS, *command] if what == 'disks' else command, seed, count)


def _try(what: str, seed: int, count: int) -> int:
    """In a process that may die: a line a case."""
    if what == 'disks':
        from hostile.disks import disks

        for result in disks(seed, count):
            print(json.dumps(result), flush=True)
        return 0
    from hostile.trial import run

    run(what, seed, count)
    return 0


def report(given: argparse.Namespace, results: list[dict[str, Any]], seconds: float) -> int:
    """Print the counts and the bad cases; the exit code."""
    counts = Counter(result['outcome'] for result in results)
    told = ', '.join(f'{n} {outcome}' for outcome, n in sorted(counts.items()))
    first, last = given.seed, given.seed + given.count - 1
    print(f'{given.what}: seeds {first} to {last}, {seconds:.0f} s: {told}')
    kinds = Counter(str(result.get('kind', '')) for result in results)
    print('of them ' + ', '.join(f'{n} {kind}' for kind, n in kinds.most_common(20)))
    slowest = max((result.get('seconds', 0.0) for result in results), default=0.0)
    most = max((result.get('kb', 0) for result in results), default=0)
    print(f'slowest {slowest:.1f} s, most memory above the process before {most / 1e3:.0f} MB')
    for result in results:
        if result['outcome'] == 'kept':
            print(result['told'])
    bad = [result for result in results if result['outcome'] in BAD]
    for result in bad[:50]:
        print(json.dumps(result))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
