# SPDX-License-Identifier: MIT
"""From the features of a batch to the losses of a recipe; the equations are in losses.py."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from selavpr_model.config.training import TrainConfig
from selavpr_model.features.vit import PATCH
from selavpr_model.runtime.distributed import gather, world
from selavpr_model.training import losses
from selavpr_model.training.batches import Batch, Views

CELL_STRIDE = 3
"""Every third dense cell counts soft matches: a ninth of the cells, an eightieth of the work."""
MOST_PAIRS = 256  # correspondences of two views that are learned from


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
        joined = np.concatenate([self.rows, rows])
        self.rows = joined[max(0, len(joined) - self.size) :]


def paper(global_: Tensor, local: Tensor, batch: Batch, config: TrainConfig) -> dict[str, Tensor]:
    """global_ (B, 2 + M, D), local (B, 2 + M, h, w, C): query, positive, negatives -> losses."""
    cells = local.flatten(2, 3)
    count = losses.divisor(len(global_), global_.shape[1] - 2, config.normalisation)
    if config.normalisation == 'sum':
        count /= world()  # the mean over processes is to be the sum over them
    far = losses.triplet_loss(global_[:, 0], global_[:, 1], global_[:, 2:], config.global_margin)
    near = losses.local_loss(cells[:, 0], cells[:, 1], cells[:, 2:], config.local_margin)
    return {'global': far / count, 'local': near / count}


def contrastive(
    global_: Tensor, local: Tensor, batch: Batch, config: TrainConfig, views: Views, memory: Memory
) -> dict[str, Tensor]:
    """global_ (B, 2, D), local (B, 2, h, w, C): two views of each place -> losses.

    Every view asks for its partner among all views of all processes and the memory.
    """
    pairs = gather(global_)
    features, rows = pairs.transpose(0, 1).flatten(0, 1), batch.all_rows.T.ravel()
    count = len(pairs)
    partner = torch.arange(2 * count, device=features.device).roll(count)
    keys = torch.cat([features, memory.features]) if len(memory.rows) else features
    known = views.different(rows, np.concatenate([rows, memory.rows]))
    other = torch.from_numpy(known).to(features.device)
    found = losses.contrastive_loss(features, keys, ~other, partner, config.temperature)
    memory.add(features, rows)
    terms = {'global': found}
    if config.local_weight:
        shared = gather(_thinned(local, batch))
        terms['local'] = _rank(shared, pairs.detach(), other[:count, count : 2 * count], config)
    if config.correspondence_weight:
        terms['correspondence'] = _correspond(local, batch, config)
    return terms


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
