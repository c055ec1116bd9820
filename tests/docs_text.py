# SPDX-License-Identifier: MIT
"""README and docs as tests see them: blocks of code, commands in them, prose without them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import re
import shlex

from where import ROOT

BLOCK = re.compile(r'^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Text:
    """One Markdown file; `name` is its path in the repository."""

    name: str

    @property
    def path(self) -> Path:
        return ROOT / self.name

    @property
    def whole(self) -> str:
        return self.path.read_text(encoding='utf-8')

    @property
    def prose(self) -> str:
        """Without the blocks of code."""
        return BLOCK.sub('', self.whole)

    def blocks(self, *languages: str) -> list[str]:
        """The code of these languages, with lines that go on joined."""
        found = BLOCK.findall(self.whole)
        return [body.replace('\\\n', ' ') for language, body in found if language in languages]

    def commands(self) -> list[list[str]]:
        """The words of each command; `a && b` is two. Output in a console block is left out."""
        lines = [line for body in self.blocks('bash') for line in body.splitlines()]
        shown = [line for body in self.blocks('console') for line in body.splitlines()]
        lines += [line[2:] for line in shown if line.startswith('$ ')]
        split = [part for line in lines for part in re.split(r'\s+&&\s+', line)]
        words = [shlex.split(part, comments=True) for part in split]
        return [found for found in words if found]

    def selavpr_commands(self) -> list[list[str]]:
        """The words after `selavpr`, however it is started, in the order they are shown."""
        return [found for words in self.commands() if (found := after_selavpr(words)) is not None]


def after_selavpr(words: list[str]) -> list[str] | None:
    """`selavpr X`, `ros2 run selavpr selavpr X` and `torchrun ... selavpr X` -> X."""
    if words[:4] == ['ros2', 'run', 'selavpr', 'selavpr']:
        return words[4:]
    if words[0] == 'torchrun' and 'selavpr' in words:
        return words[words.index('selavpr') + 1 :]
    return words[1:] if Path(words[0]).name == 'selavpr' else None


README = Text('README.md')
DOCS = tuple(
    Text(path.relative_to(ROOT).as_posix()) for path in sorted((ROOT / 'docs').glob('*.md'))
)
TEXTS = (README, *DOCS, Text('maps/README.md'), Text('demo/README.md'),
         Text('examples/pose_graph/README.md'), Text('CONTRIBUTING.md'))  # fmt: skip
