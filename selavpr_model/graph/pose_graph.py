# SPDX-License-Identifier: MIT
"""A pose graph and its solution: Gauss-Newton on sparse normal equations, robust by GNC.

Which edges are wrong is found by graduated non-convexity with truncated least squares (Yang et al.
2020, "Graduated Non-Convexity for Robust Spatial Perception"): all edges that may be wrong pull at
first, then those that fit no common solution lose their weight altogether, where a robust kernel
alone would let them pull a little.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix
from scipy.sparse.linalg import splu

from selavpr_model.graph.rotations import cross, exp, log, log_derivative

GATE = 16.8  # squared length of a residual that 1 in 100 right edges exceeds (chi2, 6 dof)
GROWTH = 1.6  # of the non-convexity, from one step to the next
STEPS = 60  # of all kinds together; a graph that has converged takes about 25
STILL_M = 1e-4  # a step that moves nothing further, m or rad, is the last
DAMPING = 1e-6  # holds what no edge holds


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Measured motions between vertices. first, second: (M,) vertices; motion: (M, 4, 4)
    T_first_second; covariance: (M, 6, 6) of x, y, z, rx, ry, rz along the axes of the first, m^2
    and rad^2; certain: (M,) bool, those that cannot be wrong.
    """

    first: np.ndarray
    second: np.ndarray
    motion: np.ndarray
    covariance: np.ndarray
    certain: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """poses: (N, 4, 4); weights: (M,) in [0, 1] of the edges, 0: it fits nothing else."""

    poses: np.ndarray
    weights: np.ndarray


def joined_edges(*parts: Edges) -> Edges:
    """All edges, in this order."""
    columns = ('first', 'second', 'motion', 'covariance', 'certain')
    return Edges(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def solve(poses: np.ndarray, edges: Edges, fixed: np.ndarray) -> Solution:
    """The poses (N, 4, 4) that fit the edges best, and which edges had to go.

    fixed: (N,) bool, vertices that stay; what hangs on no fixed vertex stays near where it is.
    Numbers that overflow change nothing.
    """
    problem, start = _Problem(edges, fixed), poses.copy()
    weights: np.ndarray = np.ones(len(edges))
    if not len(edges) or fixed.all():
        return Solution(poses.copy(), weights)
    steps = range(STEPS)
    convexity: float | None = None
    for step in steps:
        stepped, moved = problem.step(poses, weights)
        if not math.isfinite(moved):
            return Solution(start, np.ones(len(edges)))
        poses = stepped
        if edges.certain.all() and moved < STILL_M:
            break
        squares = problem.squares(poses)
        if convexity is None:
            convexity = _start(squares[~edges.certain])
        else:
            convexity *= GROWTH
        weights = np.where(edges.certain, 1.0, _truncated(squares, convexity))
        decided = ((weights == 0.0) | (weights == 1.0)).all()
        if decided and moved < STILL_M and step > 2:
            break
    return Solution(poses, weights)


def residuals(poses: np.ndarray, edges: Edges) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(M, 6) what is left of each edge, along the axes of its first vertex; its derivatives
    (M, 6, 6) by the motion of the first and of the second vertex, along the axes of the map."""
    a, b = poses[edges.first], poses[edges.second]
    back = a[:, :3, :3].transpose(0, 2, 1)
    apart = b[:, :3, 3] - a[:, :3, 3]
    turn = log(back @ b[:, :3, :3] @ edges.motion[:, :3, :3].transpose(0, 2, 1))
    shift = np.einsum('mij,mj->mi', back, apart) - edges.motion[:, :3, 3]
    by_turn = log_derivative(turn) @ back
    first, second = np.zeros((2, len(edges), 6, 6))
    first[:, :3, :3], first[:, :3, 3:] = -back, back @ cross(apart)
    first[:, 3:, 3:] = -by_turn
    second[:, :3, :3], second[:, 3:, 3:] = back, by_turn
    return np.concatenate([shift, turn], axis=1), first, second


def uncertainty(solution: Solution, edges: Edges, fixed: np.ndarray, vertex: int) -> np.ndarray:
    """(6, 6) covariance of one vertex along the axes of the map, given the fixed ones."""
    problem = _Problem(edges, fixed)
    H, _ = problem.normal(solution.poses, solution.weights)
    columns = np.zeros((H.shape[0], 6))
    at = 6 * problem.number[vertex]
    columns[at : at + 6] = np.eye(6)
    C = np.asarray(splu(H).solve(columns)[at : at + 6])
    return 0.5 * (C + C.T)


class _Problem:
    """Edges that are whitened once, and the places of the free vertices among the unknowns."""

    def __init__(self, edges: Edges, fixed: np.ndarray) -> None:
        self.edges = edges
        self.information = np.linalg.inv(edges.covariance)
        self.free = np.flatnonzero(~fixed)
        self.number = np.full(len(fixed), -1)
        self.number[self.free] = np.arange(len(self.free))

    def squares(self, poses: np.ndarray) -> np.ndarray:
        """(M,) squared lengths of the residuals, in standard deviations."""
        r, _, _ = residuals(poses, self.edges)
        return np.einsum('mi,mij,mj->m', r, self.information, r)

    def step(self, poses: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
        """The poses after one step of Gauss-Newton, and the largest move, m or rad."""
        H, g = self.normal(poses, weights)
        moves = splu(
            H, permc_spec='MMD_AT_PLUS_A', diag_pivot_thresh=0.0, options={'SymmetricMode': True}
        ).solve(-g)
        moves = moves.reshape(-1, 6)
        after = poses.copy()
        after[self.free, :3, 3] += moves[:, :3]
        after[self.free, :3, :3] = exp(moves[:, 3:]) @ poses[self.free, :3, :3]
        return after, float(np.abs(moves).max(initial=0.0))

    def normal(self, poses: np.ndarray, weights: np.ndarray) -> tuple[csc_matrix, np.ndarray]:
        """The normal equations of the free vertices: H (6 n, 6 n) and gradient (6 n,)."""
        r, *sides = residuals(poses, self.edges)
        information = weights[:, None, None] * self.information
        numbers = [self.number[self.edges.first], self.number[self.edges.second]]
        size = 6 * len(self.free)
        g = np.zeros((len(self.free), 6))
        blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for i, J in enumerate(sides):
            pull = J.transpose(0, 2, 1) @ information
            mine = numbers[i] >= 0
            np.add.at(g, numbers[i][mine], np.einsum('mij,mj->mi', pull, r)[mine])
            for j, K in enumerate(sides):
                both = mine & (numbers[j] >= 0)
                blocks.append((numbers[i][both], numbers[j][both], (pull @ K)[both]))
        diagonal = np.arange(len(self.free))
        blocks.append(
            (diagonal, diagonal, np.broadcast_to(DAMPING * np.eye(6), (len(diagonal), 6, 6)))
        )
        return _sparse(blocks, size), g.ravel()


def _sparse(blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray]], size: int) -> csc_matrix:
    """Blocks of 6 x 6 at rows and columns of blocks, summed where they lie on each other."""
    rows, columns, values = (np.concatenate(part) for part in zip(*blocks, strict=True))
    inside = np.arange(6)
    i = (6 * rows[:, None, None] + inside[:, None] + 0 * inside).ravel()
    j = (6 * columns[:, None, None] + inside + 0 * inside[:, None]).ravel()
    return csc_matrix(coo_matrix((values.ravel(), (i, j)), shape=(size, size)))


def _start(squares: np.ndarray) -> float:
    """The convexity at which even the worst edge still pulls."""
    worst = float(squares.max(initial=0.0))
    return GATE / max(2.0 * worst - GATE, 1e-9) if worst > GATE else 1e6


def _truncated(squares: np.ndarray, convexity: float) -> np.ndarray:
    """(M,) weights of truncated least squares (Yang et al. 2020, equation 14)."""
    high, low = (convexity + 1.0) / convexity * GATE, convexity / (convexity + 1.0) * GATE
    between = (
        np.sqrt(GATE * convexity * (convexity + 1.0) / np.maximum(squares, 1e-12)) - convexity
    )
    return np.where(
        squares >= high, 0.0, np.where(squares <= low, 1.0, np.clip(between, 0.0, 1.0))
    )
