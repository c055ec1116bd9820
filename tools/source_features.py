# SPDX-License-Identifier: MIT
"""Features of the sources that weights are measured on, with parts of the weights left out."""

from __future__ import annotations

from collections.abc import Iterator
import copy
from dataclasses import dataclass, replace
import functools
from pathlib import Path

from confidence_sets import campus, loop
import numpy as np
from sources import open_source, RIGHT, SOURCES, split
import torch

from selavpr_model.config import ExtractorConfig
from selavpr_model.data.datasets import ImageSet, open_dataset, RetrievalSet
from selavpr_model.data.image_folder import read_rgb
from selavpr_model.features import weights
from selavpr_model.features.checkpoint import build_network
from selavpr_model.features.extractor import Extractor, identify
from selavpr_model.features.network import SelaVPR, unit
from selavpr_model.matching.codec import codec_of
from selavpr_model.matching.matcher import Matcher
from selavpr_model.records import Features

QUERIES = 40  # of a source at most, so that a pass takes minutes on two cores
TOKENS, CELLS = (16, 16, 384), (61, 61, 128)
NOTHING = np.zeros(0, np.float32)
KITCHEN_STEP = 60.0  # frames of 7-Scenes: two seconds
TRAINED = ('sped', 'ietower', 'circuit')


def new_sets(sources: Path, data: Path) -> Iterator[RetrievalSet]:
    """Of sources that the shipped weights have not learned from."""
    for name in SOURCES:
        yield some(open_source(sources, name))
    yield campus(data / 'campus_gray')
    yield answered(loop(data / 'rtabmap_loop'))
    yield some(kitchen(data / 'sevenscenes_redkitchen'))


def trained_sets(data: Path) -> Iterator[RetrievalSet]:
    """Held-out parts of sources that they have learned from."""
    yield replace(open_dataset(data / 'sped', names=slice(400, None)), name='sped 400:')
    yield replace(some(open_dataset(data / 'ietower', split='val')), name='ietower val')
    for circuit in sorted((data / 'circuits').iterdir()):
        yield replace(some(open_dataset(circuit)), name=f'circuit {circuit.name}')


def some(data: RetrievalSet) -> RetrievalSet:
    """QUERIES of them, evenly spread."""
    count = len(data.queries)
    rows = np.unique(np.linspace(0, count - 1, min(count, QUERIES)).round().astype(int))
    return replace(data, queries=data.queries.take(rows))


def answered(data: RetrievalSet) -> RetrievalSet:
    """Without the queries that no image of the map answers."""
    rows = [i for i, right in enumerate(data.positives()) if len(right)]
    listed = None if data.listed is None else tuple(data.listed[i] for i in rows)
    return replace(data, queries=data.queries.take(rows), listed=listed)


def kitchen(folder: Path) -> RetrievalSet:
    """The frames of 7-Scenes, divided as a clip of tools/sources.py."""
    files = tuple(sorted(folder.glob('*.jpg')))
    at = np.array([float(f.stem) for f in files]) / KITCHEN_STEP
    every = ImageSet(files, at[:, None], np.zeros(len(files), np.int64))
    mapped, asking = (every.take(rows) for rows in split(at, 1.0))
    return RetrievalSet('redkitchen', 'hand-held indoors', asking, mapped, RIGHT)


@dataclass(frozen=True)
class Way:
    """How features are made: the share of the adapters' output, and whether the rest is there.

    Without adapters the exponent of GeM is 3, as before the training.
    """

    adapters: float = 1.0
    whitening: bool = True
    head: bool = True


WAYS = {
    'frozen': Way(0.0, whitening=False, head=False),
    'shipped': Way(),
    'no head': Way(head=False),
    'no adapters': Way(0.0),
    'no whitening': Way(whitening=False),
    'whitening alone': Way(0.0, head=False),
    'head alone': Way(0.0, whitening=False),
    'adapters 0.5': Way(0.5),
}


@functools.cache
def extractor_of(adapters: float) -> tuple[Extractor, SelaVPR]:
    """The shipped network with this share of its adapters' output, and as it came to the engine.

    In int8, as it is used on a CPU.
    """
    config = ExtractorConfig(engine='fused', precision='int8', threads=1)
    checkpoint, note = weights.load(config)
    network = build_network(checkpoint).requires_grad_(False)
    for name, tensor in network.named_parameters():
        if name.startswith('backbone.') and '.up.' in name:
            tensor.mul_(adapters)
    identity = identify(network, checkpoint, config, note)
    return Extractor(copy.deepcopy(network), identity, config), network


def files_of(data: RetrievalSet) -> tuple[Path, ...]:
    """Every image once."""
    return tuple(dict.fromkeys((*data.references.files, *data.queries.files)))


@dataclass(frozen=True, eq=False)
class Described:
    """tokens: (N, 256, D) float16; codes: (N, cells, C) int8 of the local head's features."""

    tokens: np.ndarray
    codes: np.ndarray

    @classmethod
    def of(cls, data: RetrievalSet, adapters: float, cache: Path) -> Described:
        """Of files_of, from the cache where they are there."""
        files = files_of(data)
        name = data.name.replace(' ', '-').replace(':', '')
        out = cache / f'{name}-{adapters:g}.npz'
        known = _stored(out)
        new = [file for file in files if str(file) not in known]
        if new:
            extractor, _ = extractor_of(adapters)
            codec = codec_of('fast', extractor.identity.local_shape)
            for file in new:
                found = extractor.extract(read_rgb(file))
                known[str(file)] = np.float16(found.tokens), codec.encode(found)
            tokens, codes = (np.array(part) for part in zip(*known.values(), strict=True))
            np.savez(out, names=np.array(list(known)), tokens=tokens, codes=codes)
        tokens, codes = zip(*(known[str(file)] for file in files), strict=True)
        return cls(np.array(tokens), np.array(codes))


def _stored(file: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Image -> tokens and codes."""
    if not file.is_file():
        return {}
    with np.load(file) as stored:
        rows = zip(stored['tokens'], stored['codes'], strict=True)
        return dict(zip(stored['names'].tolist(), rows, strict=True))


def global_features(tokens: np.ndarray, way: Way) -> np.ndarray:
    """(N, cells, D) tokens -> (N, D') float32, unit."""
    _, network = extractor_of(way.adapters)
    p = network.gem.p if way.adapters else torch.tensor([3.0])
    whole = unit(torch.from_numpy(tokens))
    pooled = unit(whole.clamp(min=1e-6).pow(p).mean(dim=1).pow(1.0 / p))
    if way.whitening and network.projection is not None:
        pooled = unit(network.projection(pooled))
    return pooled.numpy()


def local_codes(described: Described, way: Way) -> list[np.ndarray]:
    """What is compared: codes of the head, or of the tokens themselves."""
    if way.head:
        return list(described.codes)
    codec = codec_of('fast', TOKENS)
    tokens = described.tokens.astype(np.float32).reshape(-1, *TOKENS)
    tokens /= np.linalg.norm(tokens, axis=-1, keepdims=True)
    return [codec.encode(Features(NOTHING, grid)) for grid in tokens]


def matcher_of(way: Way) -> Matcher:
    """What compares them."""
    return codec_of('fast', CELLS if way.head else TOKENS).matcher('consistent')
