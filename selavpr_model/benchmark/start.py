# SPDX-License-Identifier: MIT
"""From the start of a process to its first answer, and what memory it then has."""

from __future__ import annotations

import json
from pathlib import Path
import statistics
import subprocess
import sys

from selavpr_model.benchmark.maps import saved
from selavpr_model.benchmark.query import Model
from selavpr_model.benchmark.scale import Result, Scale
from selavpr_model.config import MapConfig

STEPS = ('import', 'weights', 'map', 'answer')
START = """
import json, resource, sys, time
begin = time.perf_counter()
import selavpr_model as selavpr
selavpr.load_extractor, selavpr.open_map, selavpr.PlaceRecognizer
from selavpr_model.data.image_folder import read_rgb
at = [time.perf_counter()]
extractor = selavpr.load_extractor()
at.append(time.perf_counter())
place_map = selavpr.open_map(sys.argv[1])
at.append(time.perf_counter())
recognizer = selavpr.PlaceRecognizer(extractor, place_map, temporal=selavpr.TemporalConfig())
recognizer.process(selavpr.Frame(0, read_rgb(sys.argv[2])))
at.append(time.perf_counter())
pages = int(open('/proc/self/statm').read().split()[1])
print(json.dumps([*(b - a for a, b in zip([begin, *at], at)), pages * resource.getpagesize()]))
"""


def start(model: Model, image: Path, folder: Path, scale: Scale, result: Result) -> None:
    """Import, weights and engine, map, first answer: seconds of each, and the resident memory.

    Each time in a process of its own, the files being in the page cache and the engines measured;
    the first time of several, which may differ, is not the median.
    """
    kind = MapConfig().local_dtype
    saved(folder / 'start', model.extractor, model.features, kind)
    runs = [_run(folder / 'start' / kind, image) for _ in range(scale.starts)]
    columns = [statistics.median(column) for column in zip(*runs, strict=True)]
    for name, seconds in zip(STEPS, columns, strict=False):
        result.values[f's.start.{name}'] = seconds
    result.values['s.start.first_answer'] = sum(columns[:-1])
    result.values['mb.start.resident'] = columns[-1] / 1e6


def _run(place_map: Path, image: Path) -> list[float]:
    words = [sys.executable, '-c', START, str(place_map), str(image)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    numbers: list[float] = json.loads(done.stdout.splitlines()[-1])
    return numbers
