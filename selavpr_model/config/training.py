# SPDX-License-Identifier: MIT
"""Every default of training, once; `selavpr train` reads overrides of these from a YAML file.

The defaults of `objective: paper` are those of the released SelaVPR code.
"""

from __future__ import annotations

from dataclasses import dataclass

from selavpr_model.config.options import Config, option


@dataclass(frozen=True, slots=True)
class SourceConfig(Config):
    """One of the data sets a model is trained on; see selavpr_model.training.training_sets."""

    path: str = option('', 'folder of a data set, or a pattern of several, such as circuits/*')
    split: str = option('', 'split of the data set; empty: what the layout trains on')
    floors: str = option(
        '', 'values of the floor column of frames.csv, separated by commas; empty: all'
    )
    names: str = option(
        ':', 'range of the numbers in the file names of query/ and ref/, such as :400'
    )
    queries: str = option('', 'folder of the queries in an @utm@ tree')
    weight: float = option(1.0, 'share of the places drawn from this source', low=0.0)
    positive_radius: float | None = option(
        None,
        "largest distance of two images of one place, in m or frames; not given: the layout's own",
        low=0.0,
        kind=float,
    )
    negative_radius: float | None = option(
        None,
        "least distance of images of two places, in m or frames; not given: the layout's own",
        low=0.0,
        kind=float,
    )
    max_angle_deg: float | None = option(
        None,
        "largest angle between two views of one place; not given: the layout's own",
        unit='deg',
        low=0.0,
        high=180.0,
        kind=float,
    )
    other_run: bool = option(True, 'positives from another run or lap where there are some')


@dataclass(frozen=True, slots=True)
class MiningConfig(Config):
    """The hardest images for a triplet loss; the paper's numbers."""

    queries: int = option(1000, 'number of queries mined at once', low=1)
    candidates: int = option(1000, 'random images the hardest negatives are chosen from', low=2)
    positives: int = option(
        0, 'random positives of a query of which the best is taken; 0: all positives', low=0
    )
    negatives: int = option(2, 'hardest negatives of a query', low=1)
    chunk: int = option(256, 'images whose features are computed at once', low=1)


@dataclass(frozen=True, slots=True)
class AugmentConfig(Config):
    """How a training image becomes a view: another viewpoint, another light, another camera."""

    min_scale: float = option(
        0.6, 'least side of the crop, as a share of that of the image', low=0.05, high=1.0
    )
    aspect: float = option(
        0.15, 'logarithm of the largest change of the aspect ratio', low=0.0, high=1
    )
    perspective: float = option(
        0.08, 'largest move of a corner of the crop, as a share of the crop', low=0.0, high=0.4
    )
    rotation_deg: float = option(5.0, 'largest roll of a view', unit='deg', low=0.0, high=180.0)
    flip: float = option(0.5, 'probability to mirror both images of a pair', low=0.0, high=1.0)
    light: float = option(
        0.5, 'strength of brightness, contrast, gamma and shadows', low=0.0, high=1.0
    )
    colour: float = option(0.3, 'strength of white balance and saturation', low=0.0, high=1.0)
    grey: float = option(0.1, 'probability that a view loses its colour', low=0.0, high=1.0)
    blur: float = option(0.2, 'probability to blur a view', low=0.0, high=1.0)
    low_resolution: float = option(
        0.3, 'probability that a view loses resolution, down to 64 px', low=0.0, high=1.0
    )
    noise: float = option(0.3, 'probability of sensor noise', low=0.0, high=1.0)
    jpeg: float = option(0.3, 'probability of JPEG artefacts', low=0.0, high=1.0)
    occlusion: float = option(0.3, 'probability of boxes that hide the view', low=0.0, high=1.0)


@dataclass(frozen=True, slots=True)
class TrainConfig(Config):
    """One training run."""

    objective: str = option(
        'paper',
        'paper: mined triplets and Eq. 9 and 10; contrastive: all places of a batch are negatives',
        choices=('paper', 'contrastive'),
    )
    seed: int = option(0, 'seed of everything random', low=0)
    steps: int = option(7500, 'optimiser steps of the run', low=1)
    batch_size: int = option(4, 'number of places in a step, over all processes', low=1)
    accumulate: int = option(
        1, 'number of parts that a batch is split into, to save memory', low=1
    )
    checkpointing: bool = option(
        False, 'recompute the blocks in the backward pass, to save memory'
    )
    precision: str = option(
        'bf16', 'arithmetic of the forward pass (autocast)', choices=('fp32', 'bf16', 'fp16')
    )
    learning_rate: float = option(1e-5, 'learning rate of the adapters', low=0.0)
    head_rate: float = option(
        1.0, 'factor on the learning rate for the local head and GeM', low=0.0
    )
    weight_decay: float = option(0.0, 'decoupled weight decay (AdamW); 0 is Adam', low=0.0)
    warmup_steps: int = option(0, 'steps at the start over which the learning rate rises', low=0)
    schedule: str = option(
        'constant', 'learning rate after the warm-up', choices=('constant', 'cosine')
    )
    clip_norm: float = option(0.0, 'largest norm of the gradient; 0: no limit', low=0.0)
    average: float = option(
        0.0, 'decay of the moving average of the weights; 0: no average', low=0.0, high=1.0
    )
    train_backbone: bool = option(False, 'train the whole backbone besides the adapters')
    freeze_global: bool = option(False, 'train the local head alone')
    first_adapter: int = option(0, 'first block whose adapters learn', low=0, high=40)
    local_start: str = option(
        'random',
        'start of the local head: random, or pca: the main axes of the tokens, upsampled',
        choices=('random', 'pca'),
    )

    whitening_images: int = option(
        4096, 'images that a new projection is whitened with, evenly spread', low=2
    )
    whitening_shrinkage: float = option(
        0.05,
        'share of the mean variance that is added to every whitened axis',
        low=0.0,
        high=100.0,
    )
    alike: int = option(
        1, 'contrastive: places in each group of a batch that look alike; 1: no groups', low=1
    )
    alike_every: int = option(
        200, 'contrastive: steps between searches for places that look alike', low=1
    )

    global_weight: float = option(1.0, 'weight of the global loss', low=0.0)
    local_weight: float = option(1.0, 'weight of the local loss', low=0.0)
    global_margin: float = option(0.1, 'paper: margin of Eq. 9', low=0.0)
    local_margin: float = option(0.0, 'paper: margin of Eq. 10', low=0.0)
    normalisation: str = option(
        'mean',
        'paper: sums over batch x negatives as released, or plain as written',
        choices=('mean', 'sum'),
    )
    temperature: float = option(0.07, 'contrastive: temperature of the global cosine', low=1e-3)
    memory: int = option(0, 'contrastive: global features of past steps kept as negatives', low=0)
    rank_negatives: int = option(3, 'contrastive: negatives a query is re-ranked against', low=1)
    rank_temperature: float = option(
        0.05, 'contrastive: temperature of the cell similarity', low=1e-3
    )
    rank_sharpness: float = option(4.0, 'contrastive: factor on the log of the matches', low=0.0)
    correspondence_weight: float = option(
        0.0, 'contrastive: weight of the known correspondences of two views', low=0.0
    )
    self_pairs: float = option(
        0.0, 'contrastive: share of pairs that are two views of one image', low=0.0, high=1.0
    )

    checkpoint_every: int = option(100, 'number of steps between checkpoints', low=1)
    validate_every: int = option(500, 'number of steps between validations', low=1)
    validate_queries: int = option(
        100, 'number of queries of each validation set, evenly spread', low=1
    )
    validate_candidates: int = option(20, 'places re-ranked in a validation', low=1)
    patience: int = option(
        3, 'stop after this many validations without a better re-ranked R@5', low=1
    )
    image_px: int = option(224, 'side of the training views', unit='px', low=28, high=1792)
    cache_px: int = option(
        320, 'shorter side of the images kept in memory; 0: keep none', unit='px', low=0
    )
    cache_mb: int = option(
        4000,
        'memory of each process for decoded images; those that do not fit are read again',
        unit='MB',
        low=0,
    )
