# SPDX-License-Identifier: MIT
"""Network, re-ranking and whole queries against the paper's plain pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import contextlib
from dataclasses import dataclass
import itertools
from pathlib import Path
import statistics

import numpy as np
import torch

from selavpr_model.benchmark.features import Growth
from selavpr_model.benchmark.formula_weights import formula_network
from selavpr_model.benchmark.maps import extract, grown, local_bytes, Replayed, saved
from selavpr_model.benchmark.reference import Reference
from selavpr_model.benchmark.scale import FP32_BYTES, interleaved, Result, Scale
from selavpr_model.config import ExtractorConfig, RecognizerConfig, TemporalConfig
from selavpr_model.data.image_folder import read_rgb
from selavpr_model.errors import EngineError
from selavpr_model.features.checkpoint import Checkpoint
from selavpr_model.features.engines.engine import build, candidates, Engine
from selavpr_model.features.extractor import Extractor, identify, load_extractor
from selavpr_model.features.network import SelaVPR
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Features, Frame, Recognition

DEEP = 20  # ranks that must agree
DEFAULT = RecognizerConfig().score
VITS = ExtractorConfig(local_head='upconv', device='cpu')


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """The plain network and our extractor with the same weights, places and queries.

    images: of the queries, which `queried` are the features of.
    """

    name: str
    network: SelaVPR
    extractor: Extractor
    images: list[np.ndarray]
    features: list[Features]
    queried: list[Features]


def load(name: str, places: Sequence[Path], queries: Sequence[Path]) -> Model:
    """vits: the usual weights with dense local features; vitl: those of the formula."""
    extractor, network = _vits() if name == 'vits' else _vitl()
    images = [read_rgb(file) for file in queries]
    mapped, queried = extract(extractor, places), extract(extractor, queries)
    return Model(name, network, extractor, images, mapped, queried)


def _vits() -> tuple[Extractor, SelaVPR]:
    from selavpr_model.features import weights
    from selavpr_model.features.checkpoint import build_network

    return load_extractor(VITS), build_network(weights.load(VITS)[0])


def _vitl() -> tuple[Extractor, SelaVPR]:
    network = formula_network('vitl14')
    config = ExtractorConfig(weights='formula_vitl14', device='cpu')
    checkpoint = Checkpoint(network.config, {})
    return Extractor(network, identify(network, checkpoint, config, ''), config), network


def forward(model: Model, scale: Scale, result: Result) -> None:
    """The network alone, one image; decoding and resizing are the same on both sides."""
    batches = [model.extractor.preprocess(image)[None] for image in model.images]

    def run(network: object, number: int) -> None:
        with torch.inference_mode():
            network(batches[number % len(batches)])  # type: ignore[operator]

    engine = model.extractor._engine
    times = interleaved(
        {'plain': lambda n: run(model.network, n), 'ours': lambda n: run(engine.run, n)},
        scale.rounds,
    )
    result.ratio(f'forward.{model.name}', times['plain'], times['ours'])
    identity = model.extractor.identity
    result.settings[f'engine.{model.name}'] = str(engine)
    result.settings[f'weights.{model.name}'] = f'{identity.weights} {identity.note}'.strip()
    resize = interleaved({'it': lambda n: model.extractor.preprocess(model.images[0])}, 20)
    result.values['ms.preprocess.p50'] = statistics.median(resize['it'])


def engines(model: Model, scale: Scale, result: Result) -> None:
    """The network alone in each engine and precision that runs here, one image."""
    batch = model.extractor.preprocess(model.images[0])[None]
    built = {'plain fp32': build(model.network, model.extractor.input_size, 'eager', 'fp32')}
    for name, precision in candidates(batch.device):
        with contextlib.suppress(EngineError):
            engine = build(model.network, model.extractor.input_size, name, precision)
            built[str(engine)] = engine

    def task(engine: Engine) -> Callable[[int], object]:
        return torch.inference_mode()(lambda _: engine.run(batch))

    tasks = {name: task(engine) for name, engine in built.items()}
    for name, times in interleaved(tasks, scale.rounds).items():
        key = f'ms.engine.{model.name}.{name.replace(" ", "_")}'
        result.values[key] = statistics.median(times)


def decode(files: Sequence[Path], result: Result) -> None:
    """Reading and decoding an image file."""
    times = interleaved({'it': lambda n: read_rgb(files[n % len(files)])}, 20)
    result.values['ms.decode.p50'] = statistics.median(times['it'])


class Bench:
    """One model's real places with each preset, and the reference beside them."""

    def __init__(
        self, model: Model, folder: Path, kinds: Sequence[str], scale: Scale, result: Result
    ) -> None:
        self.model, self.scale, self.result = model, scale, result
        features = model.features
        real = np.stack([f.global_ for f in features])
        self.global_ = Growth(real).grow(scale.map_rows)
        local = np.stack([f.local.reshape(-1, f.local.shape[-1]) for f in features])
        self.reference = Reference(model.network, self.global_, local)
        extractor, here = model.extractor, folder / model.name
        self.saved = {kind: saved(here, extractor, features, kind) for kind in kinds}
        self.maps = {kind: grown(one, self.global_) for kind, one in self.saved.items()}

    def bytes(self) -> None:
        """Of the local features of a place."""
        self.result.values['bytes_per_place.fp32'] = float(FP32_BYTES)
        for kind, one in self.saved.items():
            self.result.values[f'bytes_per_place.{kind}'] = local_bytes(one)

    def recognizer(
        self, kind: str, k: int, replayed: bool = False, score: str = DEFAULT
    ) -> PlaceRecognizer:
        """With a belief, as in the node; replayed: with features instead of a network."""
        extractor = self.model.extractor
        source = Replayed(extractor.identity, self.model.queried) if replayed else extractor
        place_map: PlaceMap = self.maps[kind]
        config = RecognizerConfig(candidates=k, score=score)
        return PlaceRecognizer(source, place_map, config, TemporalConfig())  # type: ignore[arg-type]

    def query(self, k: int, kind: str) -> None:
        """Whole queries, image to answer, against the reference's; and what each stage took."""
        recognizer = self.recognizer(kind, k)
        plain, ours, stages = [], [], []
        for number, image in zip(range(self.scale.rounds + 1), itertools.cycle(self.model.images)):
            frame = Frame(number * 10**8, image)
            _, _, ms = self.reference.process(self.model.extractor.preprocess(image), k)
            recognition = recognizer.process(frame)
            plain.append(sum(ms.values()))
            stages.append({name: ns / 1e6 for name, ns in recognition.timings_ns.items()})
            ours.append(sum(stages[-1].values()))
        name = f'{self.model.name}.k{k}'
        self.result.ratio(f'query.{name}', plain[1:], ours[1:])
        self.result.values[f'ms.query.{name}.p95'] = float(np.percentile(ours[1:], 95))
        for stage in stages[0]:
            values = [one[stage] for one in stages[1:]]
            self.result.values[f'ms.stage.{name}.{stage}'] = statistics.median(values)

    def rerank(self, k: int) -> None:
        """Reading and comparing k places, by preset, through the map and the recogniser.

        What is stored exactly is counted as in the paper, as its order is compared, too.
        """
        kinds = {
            kind: self.recognizer(kind, k, True, 'mutual' if kind == 'exact' else DEFAULT)
            for kind in self.maps
        }
        times: dict[str, list[float]] = {name: [] for name in ('plain', *kinds)}
        for number in range(self.scale.rounds + 1):
            frame = Frame(number * 10**8, self.model.images[0])
            query = self.model.queried[number % len(self.model.queried)]
            times['plain'].append(self.reference.rerank(query.global_, query.local, k)[2])
            for kind, recognizer in kinds.items():
                spent = recognizer.process(frame).timings_ns
                times[kind].append((spent['load_local'] + spent['rerank']) / 1e6)
        for kind in kinds:
            self.result.ratio(f'rerank_{kind}.k{k}', times['plain'][1:], times[kind][1:])

    def order(self, k: int) -> None:
        """How often the first places are the reference's, by the count of the reference."""
        kinds = {kind: self.recognizer(kind, k, True, 'mutual') for kind in self.maps}
        same: dict[str, list[bool]] = {kind: [] for kind in kinds}
        for number, query in enumerate(self.model.queried[: self.scale.orders]):
            frame = Frame(number * 10**8, self.model.images[0])
            rows, counts, _ = self.reference.rerank(query.global_, query.local, k)
            for kind, recognizer in kinds.items():
                same[kind].append(same_order(recognizer.process(frame), rows, counts))
        for kind in kinds:
            self.result.values[f'same_top20.rerank_{kind}.k{k}'] = float(np.mean(same[kind]))


def same_order(recognition: Recognition, rows: np.ndarray, counts: np.ndarray) -> bool:
    """Whether our first places are those of these counts (k,), but for places with equal ones.

    rows: (k,) the places that were counted.
    """
    by_row = dict(zip(rows.tolist(), counts.tolist(), strict=True))
    ordered = sorted(recognition.candidates, key=lambda c: -c.mutual_matches)
    ours = [by_row.get(c.row, -1) for c in ordered[:DEEP]]
    return ours == sorted(counts.tolist(), reverse=True)[: len(ours)]
