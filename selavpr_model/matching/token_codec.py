# SPDX-License-Identifier: MIT
"""Patch tokens as a map keeps them: in the axes that their local features depend on.

A local head reads a token x through one linear map, W' x. With the singular value decomposition
W = U S V' the coordinates y = S U' x are of one weight for what is made of them: their rounding
errors count alike, and few of them hold nearly all of it. The first third, by singular values, is
kept in 12 bits and the others in 8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selavpr_model.matching.local_codec import rotation, rounded, unit

FINE = 2047  # largest number in 12 bits


def axes_of(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """weight (T, n) of W -> B (T, T) and (T, n): x W = (x B) (second), float32 both.

    Within both parts the axes are rotated as in local_codec, so that none sticks out.
    """
    u, s, v = np.linalg.svd(np.asarray(weight, np.float64), full_matrices=False)
    sign = np.sign(u[np.abs(u).argmax(axis=0), np.arange(len(s))])  # the same on every machine
    main, rest = (rotation(part) for part in parts_of(len(weight)))
    turn = np.zeros((len(weight), len(weight)))
    turn[: len(main), : len(main)], turn[len(main) :, len(main) :] = main, rest
    basis = (u * sign * s) @ turn
    return basis.astype(np.float32), (turn.T @ (sign[:, None] * v)).astype(np.float32)


def parts_of(channels: int) -> tuple[int, int]:
    """How many coordinates are kept in 12 bits and in 8."""
    main = max(2, channels // 6 * 2)
    return main, channels - main


@dataclass(frozen=True, slots=True)
class TokenCodec:
    """channels: of a token, in the axes of `axes_of`."""

    channels: int

    @property
    def cell(self) -> np.dtype:
        """A stored token: the first coordinates are scale[0] * (16 * main + fine), fine being four
        bits, two in a byte, the others scale[1] * rest."""
        main, rest = parts_of(self.channels)
        return np.dtype(
            [
                ('main', 'i1', (main,)), ('fine', 'u1', (main // 2,)), ('rest', 'i1', (rest,)),
                ('scale', '<f4', (2,)),
            ]
        )  # fmt: skip

    def encode(self, turned: np.ndarray) -> np.ndarray:
        """(N, channels) float32 -> (N,) of `cell`; zeros stay zeros.

        Each part has codes of one length, as local_codec has them, and `scale` gives it its own:
        `main` of two tokens can be compared as it is.
        """
        main, rest = np.split(turned, [parts_of(self.channels)[0]], axis=1)
        steps, coarse = rounded(unit(main), FINE), rounded(unit(rest))
        cells = np.empty(len(turned), self.cell)
        cells['main'], fine = steps >> 4, (steps & 15).astype(np.uint8)
        cells['fine'] = fine[:, ::2] << 4 | fine[:, 1::2]
        cells['rest'] = coarse
        cells['scale'] = np.stack([_scale(main, steps), _scale(rest, coarse)], axis=1)
        return cells

    @staticmethod
    def decode(cells: np.ndarray) -> np.ndarray:
        """(..., N) of `cell` -> (..., N, channels) float32."""
        main, fine = cells['main'], cells['fine']
        turned = np.empty((*cells.shape, main.shape[-1] + cells['rest'].shape[-1]), np.float32)
        first, second = turned[..., : main.shape[-1]], turned[..., main.shape[-1] :]
        np.multiply(main, np.float32(16), out=first)
        first[..., ::2] += fine >> 4
        first[..., 1::2] += fine & 15
        first *= cells['scale'][..., :1]
        np.multiply(cells['rest'], cells['scale'][..., 1:], out=second)
        return turned


def _scale(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Length of the values over that of the codes, (N,)."""
    lengths = np.linalg.norm(codes.astype(np.float32), axis=1)
    return np.linalg.norm(values, axis=1) / np.maximum(lengths, 1)
