# SPDX-License-Identifier: MIT
"""Batches of training views; batch k of a run depends on the seed and k alone, so runs resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
import logging
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from selavpr_model.config.training import TrainConfig
from selavpr_model.data.image_folder import read_rgb
from selavpr_model.errors import ConfigError, InputError
from selavpr_model.runtime import distributed
from selavpr_model.training.augment import AugmentConfig, make_view, View
from selavpr_model.training.training_sets import TrainingSet

log = logging.getLogger(__name__)
AHEAD = 2  # batches made while one is learned from


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """images (B, V, 3, S, S) float32 in [0, 1]; rows (B, V) int64; homographies (B, V, 3, 3).

    Each row of B is a place: V = 2 views of it, or query, positive and negatives. In a batch of
    several processes B is this process's part, `all_rows` what all have together.
    """

    images: Tensor
    rows: np.ndarray
    homographies: np.ndarray
    all_rows: np.ndarray


class ImageCache:
    """Decoded images, the shorter side at most `side` px, 0 keeps none; of `limit` bytes at most.

    Those that were read first stay: batches draw at random, where none is worth more than another,
    and whoever looks at all in a row would find none if the oldest had to go.
    """

    def __init__(self, side: int, limit: int) -> None:
        self.side, self.limit = side, limit
        self.bytes = 0
        self._images: dict[Path, np.ndarray] = {}

    def read(self, file: Path) -> np.ndarray:
        """(H, W, 3) uint8; InputError where the file is broken."""
        if file in self._images:
            return self._images[file]
        image = read_rgb(file)
        factor = self.side / min(image.shape[:2])
        if not self.side:
            return image
        if factor < 1:
            size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        if self.bytes + image.nbytes <= self.limit:
            self._images[file] = image
            self.bytes += image.nbytes
        return image


class Views:
    """Images of a training set, and of `singles` behind them, as augmented views.

    singles: images whose places have no other image; their rows follow the training set's.
    """

    def __init__(
        self,
        data: TrainingSet,
        singles: Sequence[Path],
        config: TrainConfig,
        augment: AugmentConfig,
    ) -> None:
        self.data, self.config, self.augment = data, config, augment
        self.files = (*data.files, *singles)
        self.failed: dict[Path, str] = {}
        self._cache = ImageCache(config.cache_px, config.cache_mb * 1_000_000)

    def different(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(A, B) bool: certainly different places, by TrainingSet.different."""
        count = len(self.data)
        last = count - 1
        different = self.data.different(np.minimum(rows, last), np.minimum(others, last))
        single = (rows[:, None] >= count) | (others[None] >= count)
        return np.where(single, rows[:, None] != others[None], different)

    def pairs(self, step: int, alike: np.ndarray | None = None) -> np.ndarray:
        """(batch_size, 2) int64 rows of different places; a self pair repeats its row.

        alike: as for TrainingSet.sample_alike, where places are drawn in groups.
        """

        def sample(places: int) -> np.ndarray:
            if alike is None:
                return self.data.sample_pairs(rng, places)
            return self.data.sample_alike(rng, places, self.config.alike, alike)

        rng = np.random.default_rng([self.config.seed, step, 0])
        size, count = self.config.batch_size, len(self.data)
        alone = int(rng.binomial(size, self.config.self_pairs))
        if len(self.files) == count:
            rows = sample(size)
            chosen = rng.choice(size, alone, replace=False)
            rows[chosen, 1] = rows[chosen, 0]
            return rows
        singles = rng.choice(len(self.files) - count, alone, replace=False) + count
        rows = sample(size - alone) if alone < size else singles[:0, None]
        return np.concatenate([rows.reshape(-1, 2), np.stack([singles, singles], axis=1)])

    def batch(self, step: int, all_rows: np.ndarray) -> Batch:
        """Views of this process's part of `all_rows` (B, V); a broken image is replaced."""
        part = np.array_split(np.arange(len(all_rows)), distributed.world())[distributed.rank()]
        places = [self._place(step, int(i), all_rows) for i in part]
        images = np.stack([[view.image for view in views] for views in places])
        return Batch(
            torch.from_numpy(images).permute(0, 1, 4, 2, 3).float().div_(255),
            all_rows[part],
            np.stack([[view.homography for view in views] for views in places]),
            all_rows,
        )

    def _place(self, step: int, i: int, all_rows: np.ndarray) -> list[View]:
        """The views of place i; a query stands in for its own broken image, and the reverse."""
        rng = np.random.default_rng([self.config.seed, step, 1 + i])
        flip = bool(rng.random() < self.augment.flip)
        images = [self._read(row) for row in all_rows[i]]
        whole = [image for image in images if image is not None]
        blank = np.zeros((self.config.image_px,) * 2 + (3,), np.uint8)
        stand_in = whole[0] if whole else blank
        return [
            make_view(
                stand_in if image is None else image, self.config.image_px, rng, self.augment, flip
            )
            for image in images
        ]

    def _read(self, row: int) -> np.ndarray | None:
        file = self.files[row]
        if file in self.failed:
            return None
        try:
            return self._cache.read(file)
        except InputError as error:
            self.failed[file] = str(error)
            log.warning('skipped image %d of this run: %s', len(self.failed), error)
            return None

    def plain(self, rows: Sequence[int]) -> list[np.ndarray | None]:
        """The images as they are, for mining; None where one is broken."""
        return [self._read(row) for row in rows]


def ahead(steps: Sequence[int], build: Callable[[int], Batch]) -> Iterator[Batch]:
    """build(step) for each step, a few of them made in the background.

    A thread, as it shares the cache of images and the list of broken ones with mining; a
    DataLoader's processes would each have their own.
    """
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(build, step) for step in steps[:AHEAD]]
        for i in range(len(steps)):
            if i + AHEAD < len(steps):
                waiting.append(pool.submit(build, steps[i + AHEAD]))
            yield waiting.pop(0).result()


def require_shares(config: TrainConfig, processes: int) -> None:
    """ConfigError unless every part of a batch has as many places on every process."""
    parts = processes * config.accumulate
    if config.batch_size % parts:
        raise ConfigError(
            f'TrainConfig.batch_size: expected a multiple of {parts} ({processes} processes x '
            f'accumulate {config.accumulate}), got {config.batch_size}'
        )
    if config.alike > 1 and (config.objective == 'paper' or config.alike > config.batch_size):
        raise ConfigError(
            f'TrainConfig.alike: expected objective: contrastive and at most batch_size '
            f'({config.batch_size}), got {config.alike} with objective: {config.objective}'
        )


def split(batch: Batch, parts: int) -> list[Batch]:
    """A batch in parts that are worked one after the other, to save memory.

    Contrastive losses see the negatives of a part, of all processes, and the memory.
    """
    if parts == 1:
        return [batch]
    everywhere = np.split(batch.all_rows, distributed.world())
    shares = [np.split(rows, parts) for rows in everywhere]
    return [
        Batch(images, rows, homographies, np.concatenate([share[i] for share in shares]))
        for i, (images, rows, homographies) in enumerate(
            zip(
                batch.images.chunk(parts),
                np.split(batch.rows, parts),
                np.split(batch.homographies, parts),
                strict=True,
            )
        )
    ]
