# SPDX-License-Identifier: MIT
"""For the tests of bags: recordings of every kind, made message by message."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
import struct
from typing import Any
from zlib import crc32

from backports import zstd
import cv2
import lz4.frame
import numpy as np
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

START = 1_700_000_000 * 10**9
STEP = 10**8
IMAGE = '/cam/image/compressed'
ROS2, ROS1 = get_typestore(Stores.ROS2_JAZZY), get_typestore(Stores.ROS1_NOETIC)
Entry = tuple[str, int, Any]  # topic, time of recording, message


def make(store: Any, name: str, *fields: Any) -> Any:
    return store.types[name.replace('/', '/msg/')](*fields)


def header(store: Any, stamp_ns: int, frame: str) -> Any:
    time = make(store, 'builtin_interfaces/Time', *divmod(stamp_ns, 10**9))
    if store is ROS1:
        return make(store, 'std_msgs/Header', 0, time, frame)
    return make(store, 'std_msgs/Header', time, frame)


def image(stamp_ns: int, number: int, store: Any = ROS2) -> Any:
    rng = np.random.default_rng(number)
    _, data = cv2.imencode('.png', rng.integers(0, 256, (24, 30, 3), dtype=np.uint8))
    return make(
        store, 'sensor_msgs/CompressedImage', header(store, stamp_ns, 'cam'), 'png', data.ravel()
    )


def pose(x: float, store: Any = ROS2, q: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0)) -> Any:
    point = make(store, 'geometry_msgs/Point', x, 2.0, 0.0)
    return make(store, 'geometry_msgs/Pose', point, make(store, 'geometry_msgs/Quaternion', *q))


def pose_stamped(stamp_ns: int, x: float, store: Any = ROS2) -> Any:
    at = header(store, stamp_ns, 'map')
    return make(store, 'geometry_msgs/PoseStamped', at, pose(x, store))


def odometry(stamp_ns: int, x: float, child: str, store: Any = ROS2) -> Any:
    zero = [make(store, 'geometry_msgs/Vector3', 0.0, 0.0, 0.0) for _ in range(2)]
    twist = make(store, 'geometry_msgs/Twist', *zero)
    unknown = np.zeros(36)
    return make(
        store, 'nav_msgs/Odometry', header(store, stamp_ns, 'odom'), child,
        make(store, 'geometry_msgs/PoseWithCovariance', pose(x, store), unknown),
        make(store, 'geometry_msgs/TwistWithCovariance', twist, unknown),
    )  # fmt: skip


def transform(stamp_ns: int, parent: str, child: str, x: float) -> Any:
    moved = make(
        ROS2, 'geometry_msgs/Transform', make(ROS2, 'geometry_msgs/Vector3', x, 0.0, 0.0),
        make(ROS2, 'geometry_msgs/Quaternion', 0.0, 0.0, 0.0, 1.0),
    )  # fmt: skip
    edge = make(
        ROS2, 'geometry_msgs/TransformStamped', header(ROS2, stamp_ns, parent), child, moved
    )
    return make(ROS2, 'tf2_msgs/TFMessage', [edge])


def fix(stamp_ns: int, latitude: float, longitude: float, status: int = 0) -> Any:
    return make(
        ROS2, 'sensor_msgs/NavSatFix', header(ROS2, stamp_ns, 'gps'),
        make(ROS2, 'sensor_msgs/NavSatStatus', status, 1), latitude, longitude, 40.0,
        np.zeros(9), 0,
    )  # fmt: skip


def drive(count: int = 6, store: Any = ROS2, stamp: int = START) -> list[Entry]:
    """Images and poses: the camera is at x = 0, 1, 2, ... m."""
    entries: list[Entry] = []
    for i in range(count):
        time = START + i * STEP
        entries.append((IMAGE, time, image(stamp + i * STEP, i, store)))
        entries.append(('/pose', time, pose_stamped(stamp + i * STEP, float(i), store)))
    return entries


def write(
    path: Path, entries: Iterable[Entry], storage: str = 'mcap', compression: str = 'none'
) -> Path:
    """A ROS 2 bag as rosbag2 writes it."""
    writer = Writer(
        path, version=9,
        storage_plugin={'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}[storage],
    )  # fmt: skip
    if compression != 'none':
        writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    made: dict[str, Any] = {}
    with writer:
        for topic, time, message in entries:
            kind = message.__msgtype__
            if topic not in made:
                made[topic] = writer.add_connection(topic, kind, typestore=ROS2)
            writer.write(made[topic], time, ROS2.serialize_cdr(message, kind))
    return path


def write_ros1(path: Path, entries: Iterable[Entry], compression: str = 'none') -> Path:
    writer = Ros1Writer(path)
    if compression != 'none':
        writer.set_compression(Ros1Writer.CompressionFormat[compression.upper()])
    made: dict[str, Any] = {}
    with writer:
        for topic, time, message in entries:
            kind = message.__msgtype__
            if topic not in made:
                made[topic] = writer.add_connection(topic, kind, typestore=ROS1)
            writer.write(made[topic], time, ROS1.serialize_ros1(message, kind))
    return path


PACKERS = {'': bytes, 'zstd': zstd.compress, 'lz4': lz4.frame.compress}


def record(kind: int, content: bytes) -> bytes:
    return struct.pack('<BQ', kind, len(content)) + content


def text(value: str) -> bytes:
    return struct.pack('<I', len(value.encode())) + value.encode()


def write_mcap(
    path: Path,
    entries: Iterable[Entry],
    compression: str = '',
    others: bool = False,
    store: Any = ROS2,
) -> Path:
    """An mcap file without index, three messages a chunk, checksums set, as other writers do.

    store: ROS1 writes as `mcap convert` does of a ROS 1 bag; others: beside the topics one in
    JSON, one in protobuf and one of a type with a strange schema.
    """
    channels: dict[str, int] = {}
    head = b'\x89MCAP0\r\n' + record(1, text('ros2') + text('test'))
    chunks, open_, times = [], b'', []

    def close() -> None:
        nonlocal open_, times
        packed = PACKERS[compression](open_)
        content = struct.pack('<QQQI', min(times), max(times), len(open_), crc32(open_))
        chunks.append(
            record(6, content + text(compression) + struct.pack('<Q', len(packed)) + packed)
        )
        open_, times = b'', []

    def channel(topic: str, kind: str, encoding: str, schema: bytes) -> bytes:
        number = channels[topic] = len(channels) + 1
        about = struct.pack('<H', number) + text(kind) + text('ros2msg')
        made = record(3, about + struct.pack('<I', len(schema)) + schema)
        names = struct.pack('<HH', number, number) + text(topic) + text(encoding)
        return made + record(4, names + struct.pack('<I', 0))

    def message(topic: str, time: int, data: bytes) -> bytes:
        return record(5, struct.pack('<HIQQ', channels[topic], 0, time, time) + data)

    if others:
        for topic, encoding in (('/a', 'json'), ('/b', 'protobuf'), ('/c', 'cdr')):
            open_ += channel(topic, 'foxglove.Log', encoding, b'\xff{ not a definition')
            open_ += message(topic, START, b'{"x": 1}')
    for topic, time, content in entries:
        if topic not in channels:
            name = content.__msgtype__
            ros1 = store is ROS1
            kind = name.replace('/msg/', '/') if ros1 else name
            open_ += channel(topic, kind, 'ros1' if ros1 else 'cdr', b'')
        write_one = store.serialize_ros1 if store is ROS1 else store.serialize_cdr
        open_ += message(topic, time, write_one(content, content.__msgtype__))
        times.append(time)
        if len(times) == 3:
            close()
    if times:
        close()
    footer = record(15, bytes(4)) + record(2, bytes(20))
    path.write_bytes(head + b''.join(chunks) + footer + b'\x89MCAP0\r\n')
    return path
