# SPDX-License-Identifier: MIT
"""The commands of README and docs: each is known with its options, the short ones run."""

from __future__ import annotations

from pathlib import Path

from docs_text import TEXTS

COMMANDS = [(text, words) for text in TEXTS for words in text.commands()]


def program(words: list[str]) -> str:
    """The first word, without the folder it is in."""
    return Path(words[0]).name
