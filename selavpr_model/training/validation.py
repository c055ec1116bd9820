# SPDX-License-Identifier: MIT
"""Validation while training: the same evaluate() as everywhere, on few queries."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import numpy as np

from selavpr_model.config import EvaluationConfig, ExtractorConfig, MapConfig, RecognizerConfig
from selavpr_model.config.training import TrainConfig
from selavpr_model.data.retrieval_sets import RetrievalSet
from selavpr_model.evaluation.evaluate import evaluate
from selavpr_model.features.checkpoint import build_network, Checkpoint
from selavpr_model.features.extractor import Extractor, identify


class Validation:
    """Data sets and how they are asked; scores in percent, names `<set>_<order>_r<N>`."""

    def __init__(self, sets: Sequence[RetrievalSet], config: TrainConfig) -> None:
        self.sets = [_evenly(data, config.validate_queries) for data in sets]
        self.config = config

    def measure(self, weights: Checkpoint) -> dict[str, float]:
        side = self.config.image_px
        extractor_config = ExtractorConfig(image_height=side, image_width=side)
        network = build_network(weights)
        identity = identify(network, weights, extractor_config, 'in training')
        extractor = Extractor(network, identity, extractor_config)
        scores: dict[str, float] = {}
        for data in self.sets:
            result = evaluate(
                data,
                extractor,
                MapConfig(),
                RecognizerConfig(candidates=self.config.validate_candidates),
                EvaluationConfig(),
                progress=False,
            )
            for name, order in (('global', result.global_), ('reranked', result.reranked)):
                for n in (1, 5):
                    scores[f'{data.name}_{name}_r{n}'] = order.recall[n]
        return scores

    @staticmethod
    def score(scores: dict[str, float]) -> float:
        """What early stopping watches: re-ranked R@5, the mean over the sets."""
        return float(np.mean([v for k, v in scores.items() if k.endswith('_reranked_r5')]))


def _evenly(data: RetrievalSet, most: int) -> RetrievalSet:
    count = len(data.queries)
    if count <= most:
        return data
    rows = np.linspace(0, count - 1, most).round().astype(int)
    return dataclasses.replace(data, queries=data.queries.take(rows))
