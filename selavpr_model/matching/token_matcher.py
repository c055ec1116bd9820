# SPDX-License-Identifier: MIT
"""Coded patch tokens compared by the dense local features that they become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from selavpr_model.matching.local_head import LocalHead, token_grid
from selavpr_model.matching.matcher import mask_at, Matcher

AT_ONCE = 16  # places whose dense features are made at once: 30 MB
BY_TOKENS, BY_HALF = 32, 10  # references that go on, see TokenMatcher
"""By the training parts of sped and ietower, 20 candidates: the place that float32 puts first is
among the 10 best by every second cell in all of 170 queries, among the 16 best by tokens in 99 %.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMatcher(Matcher):
    """Views are coded tokens, (N,) of TokenCodec.cell; the cells that match are those of `grid`.

    quick: many references are counted from coarse to fine. The BY_TOKENS whose tokens match best
    go on, of these the BY_HALF best by every second cell. Only these are compared in full. The
    count of another is estimated: its last coarse count times the ratio of full to coarse counts
    of those compared in full, and less than the best of these.
    """

    head: LocalHead
    quick: bool = False

    @property
    def narrows(self) -> bool:
        """As Matcher.narrows."""
        return self.quick

    def matched(
        self, query: np.ndarray, references: Sequence[np.ndarray], threads: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As Matcher.matched."""
        matches = np.zeros((len(references), self.grid[0] * self.grid[1]), bool)
        partner = np.zeros(matches.shape, np.int32)
        mine = self.head.dense(self._hidden([query]))[0]
        for start in range(0, len(references), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            theirs = self.head.dense(self._hidden(references[part]))
            matches[part], partner[part] = self._dense.matched(mine, list(theirs), threads)
        return matches, partner

    def count(
        self, query: np.ndarray, references: Sequence[np.ndarray], threads: int | None = None
    ) -> np.ndarray:
        """As Matcher.count."""
        if not self.quick or len(references) <= BY_HALF:
            return self.matched(query, references, threads)[0].sum(axis=1, dtype=np.int64)
        rows: np.ndarray = np.arange(len(references))
        coarse: np.ndarray = np.zeros(len(references))
        if len(rows) > BY_TOKENS:
            tokens = self._coarse(token_grid(self.grid))
            coarse = 4.0 * tokens.count(query, references, threads)  # in cells of the half grid
            rows = _best(coarse, BY_TOKENS)
        mine, theirs = self._hidden([query]), self._hidden([references[int(row)] for row in rows])
        coarse[rows] = self._count_half(mine, theirs, threads)
        best = rows[among := _best(coarse[rows], BY_HALF)]
        full = self._dense.count(
            self.head.dense(mine)[0], list(self.head.dense(theirs[among])), threads
        )
        ratio = full.sum() / max(coarse[best].sum(), 1)
        counts = np.minimum(np.rint(ratio * coarse), max(full.max() - 1, 0)).astype(np.int64)
        counts[best] = full
        return counts

    @property
    def _dense(self) -> Matcher:
        """Compares what the tokens become."""
        return Matcher(self.grid, self.reach, self.score, self.robot)

    def _coarse(self, grid: tuple[int, int]) -> Matcher:
        """Compares fewer cells of the same images."""
        return Matcher(grid, score=self.score, robot=mask_at(self.robot, grid))

    def _hidden(self, rows: Sequence[np.ndarray]) -> Tensor:
        return self.head.hidden(rows, self.grid)

    def _count_half(self, query: Tensor, references: Tensor, threads: int | None) -> np.ndarray:
        grid = (self.grid[0] + 1) // 2, (self.grid[1] + 1) // 2
        mine, theirs = self.head.half(query)[0], list(self.head.half(references))
        return self._coarse(grid).count(mine, theirs, threads)


def _best(counts: np.ndarray, most: int) -> np.ndarray:
    """Which `most` are the largest, in order of their number."""
    return np.sort(np.argsort(-counts, kind='stable')[:most])
