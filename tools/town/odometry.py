# SPDX-License-Identifier: MIT
"""Smooth motion between frames, and wheel odometry that drifts (metres, radians, seconds)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Drift:
    """Errors of the wheel odometry."""

    scale: float = 1.012  # wheels are a little smaller than believed
    yaw_bias: float = 2.5e-4  # rad per m
    step_noise: float = 0.02  # 1 sigma, share of the step
    yaw_noise: float = 6e-4  # 1 sigma, rad per step of 50 ms


def interpolate(poses: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Catmull-Rom through poses (n, 3) at fractional frame numbers (m,)."""
    k = np.clip(at.astype(int), 0, len(poses) - 2)
    t = (at - k)[:, None]
    padded = np.concatenate([2 * poses[:1] - poses[1:2], poses, 2 * poses[-1:] - poses[-2:-1]])
    a, b, c, d = (padded[k + j] for j in range(4))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def wheel(poses: np.ndarray, drift: Drift, rng: np.random.Generator) -> np.ndarray:
    """(n, 6) x, y, yaw in odom and per-step dx, dy, dyaw in base, from true poses (n, 3)."""
    out = np.zeros((len(poses), 6))
    for k in range(1, len(poses)):
        yaw = poses[k - 1, 2]
        c, s = np.cos(yaw), np.sin(yaw)
        move = poses[k, :2] - poses[k - 1, :2]
        step = np.array([c * move[0] + s * move[1], -s * move[0] + c * move[1]])
        length = float(np.linalg.norm(step))
        step = step * drift.scale * (1 + drift.step_noise * rng.normal())
        turn = poses[k, 2] - yaw + drift.yaw_bias * length + drift.yaw_noise * rng.normal()
        x, y, heading = out[k - 1, :3]
        c, s = np.cos(heading), np.sin(heading)
        out[k, :3] = x + c * step[0] - s * step[1], y + s * step[0] + c * step[1], heading + turn
        out[k, 3:] = (*step, turn)
    out[0, 3:] = out[1, 3:]
    return out
