# SPDX-License-Identifier: MIT
"""Progress bars for people: silent where stderr is no terminal, as in the log of a launch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress_bar(
    items: Iterable[Any] | None = None, name: str = '', shown: bool = True, **options: Any
) -> Any:
    """A tqdm bar over `items`, or one to update; options: as tqdm's, such as total and unit."""
    # None: tqdm looks whether the file is a terminal
    return tqdm(items, name or None, disable=None if shown else True, **options)
