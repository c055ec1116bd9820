# SPDX-License-Identifier: MIT
"""The README's table of ROS parameters, from selavpr_model.config; --write puts it there."""

from __future__ import annotations

import dataclasses
from pathlib import Path
import sys

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = '<!-- parameters: begin -->\n', '<!-- parameters: end -->\n'


def table() -> str:
    """One Markdown row a parameter: name, default, unit, what it does."""
    from selavpr_ros.config import GROUPS

    rows = ['| parameter | default | unit | what it does |', '|---|---|---|---|']
    for prefix in PARAMETER_GROUPS:
        for field in dataclasses.fields(GROUPS[prefix]):
            name = f'{prefix}.{field.name}' if prefix else field.name
            unit = field.metadata['unit']
            rows.append(f'| `{name}` | {shown(field.default)} | {unit} | {about(field)} |')
    return '\n'.join(rows) + '\n'


PARAMETER_GROUPS = ('', 'extractor', 'recognizer', 'temporal', 'geometry', 'slam', 'keyframes')


def shown(default: object) -> str:
    """A default as it is written in YAML."""
    if isinstance(default, bool):
        return f'`{str(default).lower()}`'
    if isinstance(default, tuple):
        return f'`[{", ".join(map(str, default))}]`'
    return f'`{default}`' if default != '' else '(empty)'


def about(field: dataclasses.Field[object]) -> str:
    """Help text and choices, safe inside a table."""
    text = str(field.metadata['help'])
    choices = field.metadata['choices']
    named = choices and not all(str(c) in text for c in choices)
    return (text + (f' ({", ".join(map(str, choices))})' if named else '')).replace('|', '\\|')


def written(readme: str) -> str:
    """The README with a fresh table between its markers."""
    head, rest = readme.split(BEGIN)
    return head + BEGIN + table() + END + rest.split(END)[1]


def main() -> None:
    path = ROOT / 'README.md'
    text = written(path.read_text())
    if '--write' in sys.argv:
        path.write_text(text)
    else:
        sys.stdout.write(table())


if __name__ == '__main__':
    sys.path.insert(0, str(ROOT))
    main()
