# SPDX-License-Identifier: MIT
"""Global features of maps as large as nobody has here, with neighbourhoods like real ones.

Every new place lies between a real place and one of its nearest real neighbours (streets that look
alike stay alike) and is moved by a random sum of differences between real neighbours (what makes
two views of one street differ), so it varies in the directions in which real features vary. It is
moved in proportion to how far the real place is from its nearest neighbour, by a factor with which
that distance, the spacing of keyframes, has the same median in the made map as in the real one; a
larger map is a longer drive, not a denser one.
Uniform noise would be no test: there all places are equally far apart and no index works.
"""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 10  # real neighbours a place may lie between
TERMS = 4  # differences in one random sum
AT_ONCE = 1 << 16
PROBES = 300  # rows whose nearest neighbours are measured
ROUNDS = 3
TRIAL_ROWS = 100_000


class Growth:
    """A map of any size made of real features (n, D) float32, unit rows."""

    def __init__(self, real: np.ndarray, seed: int = 0) -> None:
        self.real = unit(np.asarray(real, np.float32))
        self.seed = seed
        rows, products = search(self.real, self.real, NEIGHBOURS + 1)
        self._neighbours = rows[:, 1:]
        self._spacing = distance(products[:, 1:2])
        self.factor = 1 / np.sqrt(2)

    def fit(self, rows: int = TRIAL_ROWS) -> Growth:
        """Set `factor` so that a map of `rows` rows has the spacing of the real one."""
        for _ in range(ROUNDS):
            distance = np.median(nearest_distances(self.grow(rows)))
            self.factor *= float(np.median(self._spacing) / distance)
        return self

    def grow(self, rows: int) -> np.ndarray:
        """(rows, D) float32: the real ones first; row i is made from real row i modulo n."""
        out = np.empty((rows, self.real.shape[1]), np.float32)
        out[: len(self.real)] = self.real[:rows]
        for start in range(len(self.real), rows, AT_ONCE):
            at = np.arange(start, min(start + AT_ONCE, rows))
            out[at[0] : at[-1] + 1] = self._made(at % len(self.real), start)
        return out

    def _made(self, anchors: np.ndarray, stream: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, stream])
        other = self.real[self._neighbour(anchors, rng)]
        between = rng.random((len(anchors), 1), np.float32)
        moved = self._differences(len(anchors), rng)
        moved *= (
            self.factor * self._spacing[anchors] / np.linalg.norm(moved, axis=1, keepdims=True)
        )
        return unit(self.real[anchors] + between * (other - self.real[anchors]) + moved)

    def _differences(self, count: int, rng: np.random.Generator) -> np.ndarray:
        total = np.zeros((count, self.real.shape[1]), np.float32)
        for _ in range(TERMS):
            rows = rng.integers(0, len(self.real), count)
            weight = rng.standard_normal((count, 1), np.float32)
            total += weight * (self.real[self._neighbour(rows, rng)] - self.real[rows])
        return total

    def _neighbour(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._neighbours[rows, rng.integers(0, self._neighbours.shape[1], len(rows))]


def changed(places: np.ndarray, before: np.ndarray, after: np.ndarray, seed: int) -> np.ndarray:
    """Queries (n, D): `places` (n, D) as they look after a real change of appearance.

    before, after: (m, D), the same real places twice; each query gets one of these differences.
    """
    rows = np.random.default_rng([seed, 1]).integers(0, len(before), len(places))
    return unit(places + after[rows] - before[rows])


def nearest_distances(features: np.ndarray) -> np.ndarray:
    """Euclidean distance of evenly spread rows to their nearest other row, (<= PROBES,)."""
    step = max(1, len(features) // PROBES)
    return distance(search(features, features[::step][:PROBES], 2)[1][:, 1])


def distance(products: np.ndarray) -> np.ndarray:
    """Euclidean, of unit vectors with these inner products."""
    return np.sqrt(np.maximum(0.0, 2.0 - 2.0 * products))


def search(features: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (q, k) and inner products (q, k), best first, by comparing all."""
    import faiss

    products, rows = faiss.knn(queries, features, k, metric=faiss.METRIC_INNER_PRODUCT)
    return rows, products


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
