# SPDX-License-Identifier: MIT
"""Databases of strangers: tables alone are read, as views and computed columns may never end."""

from __future__ import annotations

from collections.abc import Collection
import sqlite3

MOST_BYTES = 256 << 20  # of a value
LIMIT_LENGTH = 0  # SQLITE_LIMIT_LENGTH


def require_tables(connection: sqlite3.Connection, names: Collection[str]) -> None:
    """sqlite3.DatabaseError unless what is there by these names are tables of plain values.

    A name that is not there is left to whoever asks for it.
    """
    if hasattr(connection, 'setlimit'):  # of Python 3.11 and later
        connection.setlimit(LIMIT_LENGTH, MOST_BYTES)
    marks = ', '.join('?' * len(names))
    asked = f'SELECT name, type, sql FROM sqlite_master WHERE lower(name) IN ({marks})'
    for name, kind, text in connection.execute(asked, [name.lower() for name in names]):
        plain = kind == 'table' and str(text).lstrip().upper().startswith('CREATE TABLE')
        columns = connection.execute('SELECT hidden FROM pragma_table_xinfo(?)', (name,))
        if not plain or any(hidden for (hidden,) in columns):
            raise sqlite3.DatabaseError(f'{name} is no plain table')
