# SPDX-License-Identifier: MIT
"""What the adapters learn from: the paper's two losses, and later ones beside them.

`paper` is SelaVPR's section 3.5 as its released code has it. `contrastive` and `soft_matches` use
every other place of the batch as a negative, which a small machine needs: it sees few batches.
"""

from __future__ import annotations

import torch
from torch import Tensor
import torch.nn.functional as F


def triplet_loss(query: Tensor, positive: Tensor, negatives: Tensor, margin: float) -> Tensor:
    """Sum of max(0, |q - p| - |q - n| + margin) over the triplets (SelaVPR, Eq. 9).

    query, positive (B, D), negatives (B, M, D): unit global features. Not squared, as released.
    """
    near = F.pairwise_distance(query, positive)
    far = F.pairwise_distance(query[:, None], negatives)
    return F.relu(near[:, None] - far + margin).sum()


def mutual_similarity(a: Tensor, b: Tensor) -> Tensor:
    """Mean similarity of the mutual nearest cells of each pair: (B, N, C), (B, M, C) -> (B,).

    The choice of the cells carries no gradient, their similarity does. No match gives 0, one match
    its own similarity; the released code gives NaN for none and averages all cells for one.
    """
    with torch.no_grad():
        similarity = a @ b.transpose(1, 2)
        forth, back = similarity.argmax(dim=2), similarity.argmax(dim=1)
        mutual = back.gather(1, forth) == torch.arange(a.shape[1], device=a.device)
    partner = b.gather(1, forth[..., None].expand(-1, -1, b.shape[-1]))
    matched = (a * partner).sum(dim=-1) * mutual
    return matched.sum(dim=1) / mutual.sum(dim=1).clamp(min=1)


def local_loss(query: Tensor, positive: Tensor, negatives: Tensor, margin: float = 0.0) -> Tensor:
    """Sum of max(0, s(q, n) - s(q, p) + margin), s the mean mutual similarity (SelaVPR, Eq. 10).

    query, positive (B, N, C), negatives (B, M, N, C): unit local features.
    """
    count = negatives.shape[1]
    near = mutual_similarity(query, positive)
    repeated = query[:, None].expand(-1, count, -1, -1).flatten(0, 1)
    far = mutual_similarity(repeated, negatives.flatten(0, 1)).unflatten(0, (-1, count))
    return F.relu(far - near[:, None] + margin).sum()


def divisor(batch: int, negatives: int, normalisation: str) -> float:
    """What the sums are divided by: batch x negatives as released, or 1 as the paper writes."""
    return float(batch * negatives) if normalisation == 'mean' else 1.0


def contrastive_loss(
    queries: Tensor, keys: Tensor, same: Tensor, target: Tensor, temperature: float
) -> Tensor:
    """Mean cross-entropy of finding one's own place among all keys (InfoNCE, van den Oord 2018).

    queries (B, D), keys (K, D) unit; target (B,) the key of each query's place; same (B, K) bool:
    keys of the same place, which are no negatives.
    """
    own = F.one_hot(target, len(keys)).bool()
    logits = (queries @ keys.T / temperature).masked_fill(same & ~own, -torch.inf)
    return F.cross_entropy(logits, target)


def soft_matches(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """A differentiable count of mutual matches: (B, N, C), (B, M, C) -> (B,), 0 to min(N, M).

    Sum over cell pairs of softmax along the rows times softmax along the columns (dual softmax,
    Rocco et al. 2018); as the temperature falls it becomes the number of mutual nearest cells.
    """
    similarity = a @ b.transpose(1, 2) / temperature
    return (similarity.softmax(dim=2) * similarity.softmax(dim=1)).sum(dim=(1, 2))


def soft_rank_loss(counts: Tensor, weight: float) -> Tensor:
    """Mean cross-entropy of ranking the first column first by `weight` times the log count.

    counts (B, 1 + M): soft matches with the positive, then with the negatives.
    """
    logits = weight * counts.clamp(min=1e-3).log()
    return F.cross_entropy(
        logits, torch.zeros(len(counts), dtype=torch.long, device=counts.device)
    )


def correspondence_loss(a: Tensor, b: Tensor, pairs: Tensor, temperature: float) -> Tensor:
    """Mean dual-softmax cross-entropy of cells known to show one point (LoFTR, Eq. 2).

    a (N, C), b (M, C) unit cells of two images; pairs (P, 2) int64. 0 without pairs.
    """
    if not len(pairs):
        return a.sum() * 0
    similarity = a @ b.T / temperature
    rows = similarity.log_softmax(dim=1)[pairs[:, 0], pairs[:, 1]]
    columns = similarity.log_softmax(dim=0)[pairs[:, 0], pairs[:, 1]]
    return -(rows + columns).mean()
