# SPDX-License-Identifier: MIT
"""What is learned: which images make a batch, and which losses its features have.

The equations are in losses.py. `make_objective` chooses by TrainConfig.objective.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from selavpr_model.config import MiningConfig
from selavpr_model.config.training import TrainConfig
from selavpr_model.errors import InputError
from selavpr_model.features.vit import PATCH
from selavpr_model.runtime.distributed import gather, gather_rows, rank, world
from selavpr_model.training import losses
from selavpr_model.training.batches import Batch, Views
from selavpr_model.training.mining import mine, most_alike
from selavpr_model.training.training_sets import CHOICE

CELL_STRIDE = 3
"""Every third dense cell counts soft matches: a ninth of the cells, an eightieth of the work."""
MOST_PAIRS = 256  # correspondences of two views that are learned from

Describe = Callable[[Sequence[int]], np.ndarray]
"""Rows of the training set -> (n, D) float32 global features as the network has them now."""


class Objective(Protocol):
    """A family of losses with the batches that it needs; its state is part of a checkpoint."""

    def next_pause(self, step: int, describe: Describe) -> int | None:
        """Search the training set at `step` where that is due; the step of the next search.

        None where it never searches.
        """

    def rows(self, step: int) -> np.ndarray:
        """(B, V) int64: the images of batch `step`, a place a row."""

    def losses(self, global_: Tensor, local: Tensor, batch: Batch) -> dict[str, Tensor]:
        """global_ (B, V, D), local (B, V, h, w, C) of a batch -> losses by name."""

    def state(self) -> dict[str, Tensor]: ...

    def restore(self, state: Mapping[str, Tensor], device: torch.device) -> None: ...


def make_objective(views: Views, config: TrainConfig, mining: MiningConfig) -> Objective:
    if config.objective == 'paper':
        return Paper(views, config, mining)
    return Contrastive(views, config)


class Paper:
    """Mined triplets, Eq. 9 and 10: a query, a positive and negatives a place."""

    def __init__(self, views: Views, config: TrainConfig, mining: MiningConfig) -> None:
        self.views, self.config, self.mining = views, config, mining
        self.mined = np.empty((0, 0), np.int64)

    def next_pause(self, step: int, describe: Describe) -> int:
        """Mine triplets when they are used up; the step at which they will be."""
        period = max(1, self.mining.queries // self.config.batch_size)
        if step % period == 0 or not len(self.mined):
            rng = np.random.default_rng([self.config.seed, step, -1 % 2**32])
            triplets = mine(self.views.data, describe, rng, self.mining, progress=True)
            if not len(triplets):
                raise InputError('mining: expected triplets, got none; add sources')
            self.mined = np.column_stack(
                [triplets.queries, triplets.positives, triplets.negatives]
            )
        return (step // period + 1) * period

    def rows(self, step: int) -> np.ndarray:
        size = self.config.batch_size
        first = step * size % max(1, len(self.mined))
        return np.take(self.mined, range(first, first + size), 0, mode='wrap')

    def losses(self, global_: Tensor, local: Tensor, batch: Batch) -> dict[str, Tensor]:
        """V = 2 + M: query, positive, negatives."""
        config, cells = self.config, local.flatten(2, 3)
        count = losses.divisor(len(global_), global_.shape[1] - 2, config.normalisation)
        if config.normalisation == 'sum':
            count /= world()  # the mean over processes is to be the sum over them
        far = losses.triplet_loss(
            global_[:, 0], global_[:, 1], global_[:, 2:], config.global_margin
        )
        near = losses.local_loss(cells[:, 0], cells[:, 1], cells[:, 2:], config.local_margin)
        return {'global': far / count, 'local': near / count}

    def state(self) -> dict[str, Tensor]:
        return {'mined': torch.from_numpy(self.mined)}

    def restore(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        self.mined = state['mined'].numpy()


@dataclass(slots=True)
class Memory:
    """Global features of past steps, (M, D), and their rows (M,); more negatives (XBM, 2020)."""

    size: int
    features: Tensor = field(default_factory=lambda: torch.empty(0))
    rows: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def add(self, features: Tensor, rows: np.ndarray) -> None:
        old = self.features if len(self.features) else features[:0].detach()
        kept = torch.cat([old, features.detach()])
        self.features = kept[max(0, len(kept) - self.size) :].clone()
        every = np.concatenate([self.rows, rows])
        self.rows = every[max(0, len(every) - self.size) :]


class Contrastive:
    """All places of a batch, and of past steps, are negatives; two views a place."""

    def __init__(self, views: Views, config: TrainConfig) -> None:
        self.views, self.config = views, config
        self.memory = Memory(config.memory)
        self.alike = np.empty((0, 0), np.int64)

    def next_pause(self, step: int, describe: Describe) -> int | None:
        """Find the places that look alike where that is due; the step at which it is again."""
        if self.config.alike <= 1:
            return None
        every = self.config.alike_every
        if step % every == 0 or not len(self.alike):
            data, count = self.views.data, CHOICE * (self.config.alike - 1)
            share = most_alike(data, describe(range(len(data))), count, (rank(), world()))
            self.alike = gather_rows(share, len(data))
        return (step // every + 1) * every

    def rows(self, step: int) -> np.ndarray:
        return self.views.pairs(step, self.alike if self.config.alike > 1 else None)

    def losses(self, global_: Tensor, local: Tensor, batch: Batch) -> dict[str, Tensor]:
        """V = 2: every view asks for its partner among all processes' views and the memory."""
        pairs, memory = gather(global_), self.memory
        features, rows = pairs.transpose(0, 1).flatten(0, 1), batch.all_rows.T.ravel()
        count = len(pairs)
        partner = torch.arange(2 * count, device=features.device).roll(count)
        keys = torch.cat([features, memory.features]) if len(memory.rows) else features
        different = self.views.different(rows, np.concatenate([rows, memory.rows]))
        other = torch.from_numpy(different).to(features.device)
        loss = losses.contrastive_loss(features, keys, ~other, partner, self.config.temperature)
        memory.add(features, rows)
        terms = {'global': loss}
        if self.config.local_weight:
            shared, others = gather(_thinned(local, batch)), other[:count, count : 2 * count]
            terms['local'] = _rank(shared, pairs.detach(), others, self.config)
        if self.config.correspondence_weight:
            terms['correspondence'] = _correspond(local, batch, self.config)
        return terms

    def state(self) -> dict[str, Tensor]:
        return {
            'memory': self.memory.features,
            'memory_rows': torch.from_numpy(self.memory.rows),
            'alike': torch.from_numpy(self.alike),
        }

    def restore(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        self.memory.features = state['memory'].to(device)
        self.memory.rows = state['memory_rows'].numpy()
        self.alike = state['alike'].numpy()


def _thinned(local: Tensor, batch: Batch) -> Tensor:
    """(B, 2, h, w, C) -> (B, 2, n, C): every third cell, from a start that changes with the step.

    Tokens are few enough to be used whole.
    """
    if local.shape[2] <= 32:
        return local.flatten(2, 3)
    start = int(batch.all_rows[0, 0]) % CELL_STRIDE
    return local[:, :, start::CELL_STRIDE, start::CELL_STRIDE].flatten(2, 3)


def _rank(cells: Tensor, pairs: Tensor, other: Tensor, config: TrainConfig) -> Tensor:
    """Each place's first view against its second and the hardest of the others' second views.

    cells (P, 2, n, C); pairs (P, 2, D) global features; other (P, P) bool: certainly others.
    """
    similarity = (pairs[:, 0] @ pairs[:, 1].T).masked_fill(~other, -torch.inf)
    hardest = similarity.topk(min(config.rank_negatives, len(pairs) - 1), dim=1).indices
    own = torch.arange(len(pairs), device=pairs.device)[:, None]
    columns = [
        losses.soft_matches(cells[:, 0], cells[column, 1], config.rank_temperature)
        for column in torch.cat([own, hardest], dim=1).T
    ]
    return losses.soft_rank_loss(torch.stack(columns, dim=1), config.rank_sharpness)


def _correspond(local: Tensor, batch: Batch, config: TrainConfig) -> Tensor:
    """Mean over the self pairs of all processes of the loss of their known correspondences.

    Each process has its own part of the sum, times the processes, as their mean is taken later.
    """
    alone = np.flatnonzero(batch.rows[:, 0] == batch.rows[:, 1])
    terms = [local.sum() * 0]
    for i in alone:
        pairs = torch.from_numpy(correspondences(local.shape[2:4], batch, int(i)))
        pairs = pairs.to(local.device)
        a, b = (local[i, v].flatten(0, 1) for v in (0, 1))
        few = pairs[:: max(1, len(pairs) // MOST_PAIRS)]
        terms.append(losses.correspondence_loss(a, b, few, config.rank_temperature))
    everywhere = int((batch.all_rows[:, 0] == batch.all_rows[:, 1]).sum())
    return torch.stack(terms).sum() * world() / max(1, everywhere)


def correspondences(grid: tuple[int, ...], batch: Batch, i: int) -> np.ndarray:
    """Cells of the two views of image i that show one point: (P, 2) int64 flat cell indices."""
    side = batch.images.shape[-1]
    h, w = int(grid[0]), int(grid[1])
    step = PATCH * (side // PATCH - 1) / max(h - 1, 1)
    y, x = np.mgrid[0:h, 0:w].reshape(2, -1) * step + (PATCH - 1) / 2
    there = np.linalg.inv(batch.homographies[i, 1]) @ batch.homographies[i, 0]
    moved = there @ np.stack([x, y, np.ones_like(x)])
    at = np.rint((moved[:2] / moved[2] - (PATCH - 1) / 2) / step).astype(np.int64)
    inside = (moved[2] > 0) & (at >= 0).all(axis=0) & (at < np.array([[w], [h]])).all(axis=0)
    return np.stack([np.flatnonzero(inside), (at[1] * w + at[0])[inside]], axis=1)
