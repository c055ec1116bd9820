# SPDX-License-Identifier: MIT
"""What a model is trained on; see train_config.py for how."""

from __future__ import annotations

from dataclasses import dataclass

from selavpr_model.config.options import Config, option


@dataclass(frozen=True, slots=True)
class SourceConfig(Config):
    """One of the data sets a model is trained on; see selavpr_model.training.training_sets."""

    path: str = option('', 'folder of a data set, or a pattern of several, such as circuits/*')
    split: str = option('', "which split; '': the layout's own for training")
    floors: str = option('', 'of frames.csv: some floors, by comma')
    names: str = option(':', 'of query/ and ref/: the numbers of names, such as :400')
    queries: str = option('', 'of an @utm@ tree: folder of the queries')
    weight: float = option(1.0, 'places drawn from here, against the other sources', low=0.0)
    positive_radius: float = option(
        -1.0, "one place up to this far, in m or frames; -1: the layout's own", low=-1.0
    )
    negative_radius: float = option(
        -1.0, "certainly not one place beyond this, in m or frames; -1: the layout's own", low=-1.0
    )
    max_angle_deg: float = option(
        -1.0,
        "one place when looking up to this far apart; -1: the layout's own",
        low=-1.0,
        high=180.0,
    )
    other_run: bool = option(True, 'positives from another run or lap where there are some')


@dataclass(frozen=True, slots=True)
class MiningConfig(Config):
    """The hardest images for a triplet loss; the paper's numbers."""

    queries: int = option(1000, 'queries mined at once', low=1)
    candidates: int = option(1000, 'random images the hardest negatives are chosen from', low=2)
    positives: int = option(
        0, 'of a query with more positives the best of so many random ones; 0: of all', low=0
    )
    negatives: int = option(2, 'hardest negatives of a query', low=1)
    chunk: int = option(256, 'images whose features are asked for at once', low=1)
