# SPDX-License-Identifier: MIT
"""Copy a bag with drift added to its odometry, or with its odometry in another frame.

Images, calibration and true poses stay as they are. The heading turns a little more with every
metre, lengths are stretched, and noise may be added; `--origin` moves where odometry begins.

    python tools/add_drift.py demo/summer build/drift --rad-per-m 0.0015
    python tools/add_drift.py demo/winter build/moved --origin 100 0 70
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores
from scipy.spatial.transform import Rotation

from selavpr_model.poses import inverse, pose_matrix, position_quaternion

ODOMETRY = 'nav_msgs/msg/Odometry'


class Drift:
    """What an odometry that drifts says, pose by pose; headings turn about z."""

    def __init__(
        self, rad_per_m: float = 0.0, length: float = 0.0, noise_deg: float = 0.0,
        origin: tuple[float, float, float] = (0.0, 0.0, 0.0), seed: int = 0,
    ) -> None:  # fmt: skip
        """rad_per_m: constant turn; length: share that is added to each way; noise_deg: standard
        deviation of the heading after one metre, it grows with the root of the way; origin: x and
        y in m and the heading in degrees of the old origin."""
        self._rad_per_m, self._length, self._noise = rad_per_m, length, np.radians(noise_deg)
        self._rng = np.random.default_rng(seed)
        x, y, heading = origin
        turn = Rotation.from_euler('z', heading, degrees=True).as_quat()
        self._moved = pose_matrix((x, y, 0.0), turn.tolist())
        self._last: np.ndarray | None = None
        self._told = np.eye(4)

    def __call__(self, T_odom_base: np.ndarray) -> np.ndarray:
        """(4, 4) of a true odometry -> what the drifting one says."""
        if self._last is None:
            self._last, self._told = T_odom_base, self._moved @ T_odom_base
            return self._told
        motion = inverse(self._last) @ T_odom_base
        self._last, metres = T_odom_base, float(np.linalg.norm(motion[:3, 3]))
        turn = self._rad_per_m * metres + self._noise * np.sqrt(metres) * self._rng.normal()
        motion[:3, 3] *= 1.0 + self._length
        motion[:3, :3] = motion[:3, :3] @ Rotation.from_euler('z', turn).as_matrix()
        self._told = self._told @ motion
        return self._told


def copy(source: Path, out: Path, drift: Callable[[np.ndarray], np.ndarray]) -> int:
    """Write the bag; the number of odometry messages that were changed."""
    store, changed = get_typestore(Stores.ROS2_JAZZY), 0
    writer = Writer(out, version=9, storage_plugin=StoragePlugin.MCAP)
    with AnyReader([source], default_typestore=store) as reader, writer:
        written = {c.id: _connection(writer, c, store) for c in reader.connections}
        for connection, stamp, raw in reader.messages():
            if connection.msgtype == ODOMETRY:
                message = reader.deserialize(raw, ODOMETRY)
                drifted(message.pose.pose, drift)
                raw, changed = bytes(store.serialize_cdr(message, ODOMETRY)), changed + 1
            writer.write(written[connection.id], stamp, raw)
    return changed


def _connection(writer: Writer, connection: Any, store: Any) -> Any:
    """The topic as it was, with its QoS: /tf_static is latched."""
    qos = getattr(connection.ext, 'offered_qos_profiles', [])
    return writer.add_connection(
        connection.topic, connection.msgtype, typestore=store, offered_qos_profiles=qos
    )


def drifted(pose: Any, drift: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change a geometry_msgs/Pose."""
    p, q = pose.position, pose.orientation
    x, y, z, *turn = position_quaternion(drift(pose_matrix((p.x, p.y, p.z), (q.x, q.y, q.z, q.w))))
    p.x, p.y, p.z = x, y, z
    q.x, q.y, q.z, q.w = turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', type=Path, help='bag with odometry')
    parser.add_argument('out', type=Path, help='folder of the new bag')
    parser.add_argument('--rad-per-m', type=float, default=0.0, help='turn with every metre')
    parser.add_argument('--length', type=float, default=0.0, help='share added to every way')
    parser.add_argument('--noise-deg', type=float, default=0.0, help='sigma of the heading at 1 m')
    parser.add_argument('--origin', type=float, nargs=3, default=(0.0, 0.0, 0.0),
                        metavar=('X', 'Y', 'DEG'), help='where the old origin is put')  # fmt: skip
    parser.add_argument('--seed', type=int, default=0)
    given = parser.parse_args()
    drift = Drift(given.rad_per_m, given.length, given.noise_deg, tuple(given.origin), given.seed)
    print(f'{given.out}: {copy(given.source, given.out, drift)} odometry messages changed')


if __name__ == '__main__':
    main()
