# SPDX-License-Identifier: MIT
"""Hostile input by the thousand: does anything crash, hang, take memory or end in a traceback?

python tools/campaign.py maps --count 1000 [--seed 0]      map folders with right checksums
python tools/campaign.py images --count 1000               image files, in folders and messages
python tools/campaign.py messages --count 10000            messages on the node's topics
python tools/campaign.py calls --count 1000                calls of its services

A case is its seed: the same seed is the same case. The files are tried in a process of its own,
which may die. Prints the counts, and each bad case with its seed; ends with 1 where there is one.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
import json
from pathlib import Path
import select
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'tools'), str(ROOT / 'tests')]
SLOW_S = 30.0
MOST_KB = 1_000_000  # above the process before the case
BAD = ('traceback', 'crash', 'slow', 'memory', 'wrong', 'silent')


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=('maps', 'images', 'messages', 'calls', 'try'))
    parser.add_argument('--count', type=int, default=1000)
    parser.add_argument('--seed', type=int, default=0, help='of the first case')
    parser.add_argument('--of', choices=('maps', 'images'), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.what == 'try':
        return _try(given.of, given.seed, given.count)
    started = time.monotonic()
    if given.what in ('maps', 'images'):
        results = files(given.what, given.count, given.seed)
    else:
        from campaign_node import campaign

        results = campaign(given.what, given.count, given.seed)
    return report(given, results, time.monotonic() - started)


def report(given: argparse.Namespace, results: list[dict[str, Any]], seconds: float) -> int:
    """Print the counts and the bad cases; the exit code."""
    counts = Counter(result['outcome'] for result in results)
    told = ', '.join(f'{n} {outcome}' for outcome, n in sorted(counts.items()))
    first, last = given.seed, given.seed + given.count - 1
    print(f'{given.what}: {len(results)} cases, seeds {first} to {last}, {seconds:.0f} s: {told}')
    slowest = max((result.get('seconds', 0.0) for result in results), default=0.0)
    most = max((result.get('kb', 0) for result in results), default=0)
    print(f'slowest {slowest:.1f} s, most memory above the process before {most / 1e3:.0f} MB')
    bad = [result for result in results if result['outcome'] in BAD]
    for result in bad[:50]:
        print(json.dumps(result))
    return 1 if bad else 0


def files(what: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Each case tried in a process that may die; a new one goes on behind the case that did it."""
    results: list[dict[str, Any]] = []
    while len(results) < count:
        at = seed + len(results)
        for result in _tried(what, at, count - len(results)):
            results.append(result)
    return results


def _tried(what: str, seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Results until the process ends; the case that ended it is one, too."""
    command = [sys.executable, __file__, 'try', '--of', what, f'--seed={seed}', f'--count={count}']
    with (
        tempfile.TemporaryFile() as errors,  # libjpeg writes a line a damaged image
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        assert process.stdout is not None
        done = 0
        while done < count:
            patience = SLOW_S + (60.0 if done == 0 else 0.0)  # imports, and the good maps
            ready, _, _ = select.select([process.stdout], [], [], patience)
            line = process.stdout.readline() if ready else b''
            if not line:
                process.kill()
                outcome = 'crash' if ready else 'slow'
                errors.seek(0)
                told = errors.read().decode(errors='replace')[-2000:]
                yield {'seed': seed + done, 'outcome': outcome, 'told': told}
                return
            done += 1
            yield json.loads(line)


def _try(what: str, seed: int, count: int) -> int:
    """In the process that may die: a line a case."""
    with tempfile.TemporaryDirectory(prefix='campaign') as folder:
        attempt = _Maps(Path(folder)) if what == 'maps' else _Images(Path(folder))
        for number in range(seed, seed + count):
            print(json.dumps(measured(attempt, number)), flush=True)
    return 0


def measured(attempt: Any, seed: int) -> dict[str, Any]:
    """What became of a case, the seconds and the memory it took."""
    from selavpr_model.errors import SelaVPRError

    before, started = _peak_kb(reset=True), time.monotonic()
    told = kind = ''
    try:
        kind = attempt.make(seed)
        started = time.monotonic()
        attempt.use()
        outcome = 'used'
    except SelaVPRError as error:
        told = str(error)
        outcome = 'refused' if '\n' not in told and len(told) < 3000 else 'traceback'
    except Exception as error:
        outcome, told = 'traceback', f'{type(error).__name__}: {error}'[:500]
    seconds, kb = time.monotonic() - started, _peak_kb() - before
    if outcome in ('used', 'refused'):
        outcome = 'memory' if kb > MOST_KB else 'slow' if seconds > SLOW_S else outcome
    bad = {'told': told} if outcome in BAD else {}
    return {'seed': seed, 'kind': kind, 'outcome': outcome, 'seconds': seconds, 'kb': kb, **bad}


def _peak_kb(reset: bool = False) -> int:
    """Most memory of this process, kB; with `reset`, what it has now, from which it counts."""
    if reset:
        Path('/proc/self/clear_refs').write_text('5')
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith('VmHWM'))


class _Maps:
    """Opened, searched, read, drawn and described, as the node and the commands do it."""

    def __init__(self, folder: Path) -> None:
        from map_helpers import some_map

        from selavpr_model.config import MapConfig
        from selavpr_model.maps.storage.store import save_map

        self.out, self.good = folder / 'case' / 'map', []
        for dtype, index in (('fast', 'codes'), ('exact', 'flat'), ('tiny', 'auto')):
            made = some_map(150 if index == 'codes' else 12, dtype)
            made.config = MapConfig(local_dtype=dtype, thumbnail_px=16, index=index)
            save_map(made, folder / dtype)
            self.good.append(folder / dtype)

    def make(self, seed: int) -> str:
        from campaign_files import hostile_map

        shutil.rmtree(self.out.parent, ignore_errors=True)
        self.out.parent.mkdir()
        return hostile_map(self.good[seed % len(self.good)], self.out, seed)

    def use(self) -> None:
        from map_helpers import IDENTITY, some_features

        from selavpr_model.cli.map_show import describe
        from selavpr_model.maps.building.inspect import problems
        from selavpr_model.maps.storage.reader import read_manifest
        from selavpr_model.maps.storage.store import open_map
        from selavpr_ros.node.health.status import map_info

        describe(read_manifest(self.out))
        place_map = open_map(self.out, IDENTITY)
        map_info(place_map, 0, 'map')
        rows, _ = place_map.search(some_features(3).global_, 5)
        place_map.local(rows)
        for row in range(min(20, len(place_map))):
            list(problems(place_map, row))


class _Images:
    """As a message, and as a file of a folder; what is decoded is made ready for the network."""

    def __init__(self, folder: Path) -> None:
        from selavpr_model.config import ExtractorConfig
        from selavpr_model.features.extractor import load_extractor

        self.file, self.raw = folder / 'image', b''
        self.extractor = load_extractor(ExtractorConfig())

    def make(self, seed: int) -> str:
        from campaign_files import hostile_image

        self.raw, kind = hostile_image(seed)
        self.file.write_bytes(self.raw)
        return kind

    def use(self) -> None:
        from selavpr_model.data.image_folder import read_rgb
        from selavpr_ros.convert.encodings import decode_compressed

        self.extractor.preprocess(decode_compressed(self.raw, 'jpeg'))
        self.extractor.preprocess(read_rgb(self.file))


if __name__ == '__main__':
    sys.exit(main())
