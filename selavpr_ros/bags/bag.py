# SPDX-License-Identifier: MIT
"""A recording opened: topics, and messages as CDR whatever they were stored as.

Definitions in the recording are never parsed: the few types that we read are fixed, so that a
topic of another type or encoding never matters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager, ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from selavpr_model.errors import SourceError
from selavpr_model.runtime.needs import needs
from selavpr_ros.bags import files
from selavpr_ros.bags.storage.chunked import Channel
from selavpr_ros.bags.storage.compression import DamagedError, decompress, ZSTD_MAGIC

READABLE = ('cdr', 'ros1')
MAX_TIME_NS = 2**31 * 10**9 - 1
"""ROS counts seconds in 32 bits."""


@dataclass(slots=True)
class Topic:
    """A topic of all files; msgtype by its ROS 2 name, 'mixed types' where they differ."""

    msgtype: str
    msgcount: int
    encoding: str

    @property
    def readable(self) -> bool:
        return self.encoding in READABLE


@lru_cache(maxsize=1)
def message_types() -> Any:
    """rosbags' definitions of ROS 2; those of our types are the same in every distribution."""
    with needs('rosbags', extra='bags'):
        from rosbags.typesys import get_typestore, Stores
    return get_typestore(Stores.ROS2_JAZZY)


class Bag:
    """Open files of one recording. damage: what was lost while reading, by topic and reason."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path, self.types = path, message_types()
        found, self.notes = files.find(path)
        self.storages: list[files.Storage] = []
        broken = []
        for file, storage in files.opened(found, stack):
            if isinstance(storage, DamagedError):
                broken.append(f'{file.name}: {storage}; {files.cure(file)}')
            else:
                self.storages.append(storage)
        if not self.storages:
            reason = broken[0] if broken else 'no .mcap, .db3 or .bag file is in it'
            raise SourceError(f'{path}: not a readable bag (mcap, sqlite3 or ROS 1): {reason}')
        self.notes += broken + [note for storage in self.storages for note in storage.notes]
        self.topics = self._topics()
        self.unread: Counter[str] = Counter()

    def _topics(self) -> dict[str, Topic]:
        topics: dict[str, Topic] = {}
        for channel in (c for storage in self.storages for c in storage.channels.values()):
            kind = ros2_name(channel)
            topic = topics.setdefault(channel.topic, Topic(kind, 0, channel.encoding))
            topic.msgcount += channel.count
            if topic.msgtype != kind or topic.encoding != channel.encoding:
                topic.msgtype, topic.encoding = 'mixed types', ''
        return topics

    @property
    def damage(self) -> dict[str, int]:
        """Reason -> messages lost so far."""
        total = Counter(self.unread)
        for storage in self.storages:
            total += storage.damage
        return dict(total)

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        """(topic, time recorded in ns, CDR) in recorded order; damaged ones are counted."""
        for storage in self.storages:
            wanted = {n: c for n, c in storage.channels.items() if c.topic in topics}
            for number, time, data in storage.messages(wanted) if wanted else ():
                try:
                    yield wanted[number].topic, time, self._cdr(wanted[number], time, data)
                except DamagedError as error:
                    self.lose(wanted[number].topic, error)

    def _cdr(self, channel: Channel, time: int, data: bytes | memoryview) -> bytes:
        if time > MAX_TIME_NS:
            raise DamagedError('a time after the year 2038')
        data = bytes(data)
        if data.startswith(ZSTD_MAGIC):  # compressed message by message; CDR starts with 0
            data = decompress(data, 'zstd')
        if channel.encoding == 'ros1':
            try:
                return bytes(self.types.ros1_to_cdr(data, ros2_name(channel)))
            except Exception as error:  # whatever rosbags raises means that the bytes are none
                raise DamagedError(f'no {ros2_name(channel)}: {_line(error)}') from error
        return data

    def decode(self, topic: str, data: bytes) -> Any:
        """The message; DamagedError when the bytes are none of its type."""
        kind = self.topics[topic].msgtype
        try:
            return self.types.deserialize_cdr(data, kind)
        except Exception as error:  # whatever rosbags raises means that the bytes are none
            raise DamagedError(f'no {kind}: {_line(error)}') from error

    def decoded(self, topics: Collection[str]) -> Iterator[tuple[str, int, Any]]:
        """(topic, time recorded in ns, message) in recorded order; damaged ones are counted."""
        for topic, time, data in self.messages(topics):
            try:
                message = self.decode(topic, data)
            except DamagedError as error:
                self.lose(topic, error)
                continue
            yield topic, time, message

    def lose(self, topic: str, error: Exception) -> None:
        """Count a message that cannot be used."""
        self.unread[f'{topic}: {error}'] += 1

    def trouble(self) -> str:
        """All that is damaged, with what may mend it, in one line; empty where nothing is."""
        said = list(self.notes)
        damage, lost = self.damage, sum(self.damage.values())
        if damage:
            reasons = '; '.join(f'{reason[:160]} ({n})' for reason, n in list(damage.items())[:3])
            more = f' and {len(damage) - 3} more reasons' if len(damage) > 3 else ''
            torn = next((s for s in self.storages if s.damage), None)
            cure = f'; {files.cure(torn.path)}' if torn else ''
            said.append(f'{lost} damaged messages or chunks skipped: {reasons}{more}{cure}')
        return '; '.join(said)


def ros2_name(channel: Channel) -> str:
    """`sensor_msgs/Image` of ROS 1 under its ROS 2 name."""
    kind = channel.msgtype
    if channel.encoding == 'ros1' and '/msg/' not in kind:
        return kind.replace('/', '/msg/')
    return kind


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


@contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """The recording; SourceError when it is none, or nothing in it can be read."""
    if not path.exists():
        raise SourceError(f'{path}: expected a bag (ROS 2 or ROS 1), found nothing there')
    with ExitStack() as stack:
        yield Bag(path, stack)
