# SPDX-License-Identifier: MIT
"""How fast and how small selavpr is, against the paper's plain pipeline on the same machine.

Every ratio comes from interleaved rounds of one run. What takes part in it is in reference.py
(theirs), query.py, index.py and retention.py (ours).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
import logging
from pathlib import Path
import tempfile
from types import MappingProxyType

import numpy as np

from selavpr_model.benchmark import index, query, start
from selavpr_model.benchmark.maps import image_files, PRESETS
from selavpr_model.benchmark.query import Bench, Model
from selavpr_model.benchmark.retention import retention
from selavpr_model.benchmark.scale import Result, Scale, settings
from selavpr_model.config import MapConfig
from selavpr_model.data.image_folder import read_rgb
from selavpr_model.errors import ConfigError, EngineError, SourceError
from selavpr_model.features.extractor import load_extractor
from selavpr_model.runtime.progress import progress_bar

logger = logging.getLogger(__name__)
STAGES = ('vits', 'vitl', 'engines', 'start', 'index', 'open', 'retention')
Stage = Callable[[int], list[float]]  # rounds -> the milliseconds of each


@dataclass(frozen=True)
class Images:
    """Folders. places: images of a map; queries: images to ask with, those of places named alike;
    data: of the validation sets.
    """

    places: Path
    queries: Path
    data: Path


class Benchmark:
    """Stages that can run alone; what several of them need is made once."""

    def __init__(self, images: Images, scale: Scale, folder: Path) -> None:
        self.images, self.scale, self.folder = images, scale, folder
        self.result = Result(settings=settings())

    @cached_property
    def vits(self) -> Model:
        return self._model(
            'vits', self.scale.places, max(self.scale.orders, self.scale.rounds + 1)
        )

    def _model(self, name: str, places: int, queries: int) -> Model:
        files = image_files(self.images.places, places)
        query_files = image_files(self.images.queries, queries)
        query.decode(query_files, self.result)
        return query.load(name, files, query_files)

    def run_vits(self) -> None:
        """Network, stored bytes, re-ranking for each k, a whole query."""
        query.forward(self.vits, self.scale, self.result)
        bench = Bench(self.vits, self.folder, PRESETS, self.scale, self.result)
        bench.bytes()
        for k in self.scale.ks:
            bench.rerank(k)
        bench.order(max(self.scale.ks))
        for k in sorted({min(20, max(self.scale.ks)), max(self.scale.ks)}):
            bench.query(k, MapConfig().local_dtype)

    def run_vitl(self) -> None:
        """Network and a whole query; weights of a formula, which speed does not depend on."""
        model = self._model('vitl', self.scale.places_vitl, self.scale.rounds + 1)
        query.forward(model, self.scale, self.result)
        bench = Bench(model, self.folder, [MapConfig().local_dtype], self.scale, self.result)
        bench.query(max(self.scale.ks), MapConfig().local_dtype)

    def run_engines(self) -> None:
        """ViT-S in every engine that runs here."""
        query.engines(self.vits, self.scale, self.result)

    def run_start(self) -> None:
        """A process's way to its first answer."""
        image = image_files(self.images.queries, 2)[0]
        start.start(self.vits, image, self.folder, self.scale, self.result)

    def run_index(self) -> None:
        """Search in maps of all sizes."""
        before, after = self._pairs()
        index.search(self.steering, before, after, self.scale, self.result)

    def run_open(self) -> None:
        """Opening a large map."""
        index.opening(self.steering, self.folder, self.scale, self.result)

    def run_retention(self) -> None:
        """Answers with each preset against those with exact storage, by the network in float32:
        what a faster one rounds differs from frame to frame, and is not the storage's."""
        extractor = load_extractor(replace(query.VITS, precision='fp32'))
        retention(extractor, self.images.data, PRESETS, self.scale, self.result)
        self.result.settings['engine.retention'] = f'{extractor.engine} {extractor.precision}'

    @cached_property
    def steering(self) -> np.ndarray:
        """(n, D) global features of real places, of which those of large maps are made."""
        count = self.scale.steering
        files = image_files(self.images.places, count)
        more = self.images.data / 'ietower'
        if more.is_dir() and len(files) < count:
            files += image_files(more, count - len(files))
        return self._global(files)

    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """(m, D) twice: the same places in both folders."""
        there = {p.name: p for p in image_files(self.images.queries, 10**6)}
        mapped = image_files(self.images.places, 10**6)
        both = [p for p in mapped if p.name in there][: self.scale.steering // 4]
        if not both:
            raise SourceError(
                f'queries: expected images named as in {self.images.places}, got none in '
                f'{self.images.queries}'
            )
        return self._global(both), self._global([there[p.name] for p in both])

    def _global(self, files: Sequence[Path]) -> np.ndarray:
        extractor = self.vits.extractor
        return np.stack(
            [
                extractor.extract(read_rgb(f)).global_
                for f in progress_bar(files, 'global', unit='image')
            ]
        )


def run(
    images: Images,
    scale: Scale,
    only: Sequence[str] = (),
    extra: Mapping[str, Stage] = MappingProxyType({}),
) -> Result:
    """Measure; ConfigError for a stage that does not exist.

    extra: stages of others; one that raises EngineError is skipped with a warning.
    """
    names = (*STAGES, *extra)
    unknown = [name for name in only if name not in names]
    if unknown:
        raise ConfigError(f'only: expected some of {", ".join(names)}; got {unknown[0]!r}')
    with tempfile.TemporaryDirectory(prefix='selavpr_benchmark_') as folder:
        benchmark = Benchmark(images, scale, Path(folder))
        for name in only or names:
            logger.info('stage %s', name)
            if name in extra:
                _run_extra(name, extra[name], scale, benchmark.result)
            else:
                getattr(benchmark, f'run_{name}')()
    return benchmark.result


def _run_extra(name: str, stage: Stage, scale: Scale, result: Result) -> None:
    try:
        result.values[f'ms.{name}.p50'] = float(np.median(stage(scale.sent)))
    except EngineError as error:
        logger.warning('stage %s: skipped, as %s', name, error)
