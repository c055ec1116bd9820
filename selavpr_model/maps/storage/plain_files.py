# SPDX-License-Identifier: MIT
"""Files of a folder that may come from a stranger: plain files only, opened without waiting.

A link may lead to any file of the computer, a FIFO holds its reader for ever, a device may act on
being opened or never end.
"""

from __future__ import annotations

import os
from pathlib import Path
import stat
from typing import BinaryIO

KINDS = {
    stat.S_IFLNK: 'a link',
    stat.S_IFIFO: 'a FIFO',
    stat.S_IFCHR: 'a device',
    stat.S_IFBLK: 'a device',
    stat.S_IFSOCK: 'a socket',
    stat.S_IFDIR: 'a folder',
    stat.S_IFREG: 'a file',
}


class NotPlainError(OSError):
    """It is no plain file or folder; the text says what it is."""


def kind_of(path: Path) -> str:
    """What lies there, a link as such; OSError where nothing does."""
    return KINDS.get(stat.S_IFMT(path.lstat().st_mode), 'something strange')


def require_plain(path: Path, kind: str = 'a file') -> None:
    """NotPlainError unless a file (or 'a folder') is there itself; OSError where nothing is."""
    got = kind_of(path)
    if got != kind:
        raise NotPlainError(f'expected {kind}, got {got}')


def open_plain(path: Path) -> BinaryIO:
    """To be read. NotPlainError for what is no file itself."""
    require_plain(path)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # should it change now
    handle = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NotPlainError('expected a file, got something else meanwhile')
    return os.fdopen(handle, 'rb')


def read_plain(path: Path, most: int) -> bytes:
    """All of it; NotPlainError, too, where it is larger than `most` bytes."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise NotPlainError(f'expected at most {most} bytes, got {size}')
        return file.read(most)


def create_plain(path: Path) -> BinaryIO:
    """A new file to write, in place of what has that name; a link there is not followed."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o644), 'wb')


def reason(error: OSError) -> str:
    """In words, without the path."""
    return os.strerror(error.errno) if error.errno else str(error)
