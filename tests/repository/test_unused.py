# SPDX-License-Identifier: MIT
"""No code that nothing uses: each name of the packages occurs outside of where it is defined."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
import re
from typing import Any

from where import ROOT

PACKAGES = ('selavpr_model', 'selavpr_ros')
USERS = (*PACKAGES, 'tools', 'tests', 'examples', 'launch')
# logging.Handler, ctypes.Structure and pickle.Unpickler call them so
OF_LIBRARIES = {'emit', '_fields_', 'persistent_load'}
BY_NAME = re.compile(r'run_\w+')  # stages of the benchmark, taken by getattr
WORD = re.compile(r'[A-Za-z_]\w*')
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def trees(folders: tuple[str, ...]) -> dict[Path, ast.Module]:
    files = (file for folder in folders for file in sorted((ROOT / folder).rglob('*.py')))
    return {file: ast.parse(file.read_text(encoding='utf-8')) for file in files}


def defined(tree: ast.Module) -> Iterator[str]:
    """Functions, methods, classes, and what modules and classes assign."""
    for node in ast.walk(tree):
        if isinstance(node, DEFINITIONS) and not is_registered(node):
            yield node.name
        if isinstance(node, ast.ClassDef | ast.Module):
            for part in node.body:
                targets = part.targets if isinstance(part, ast.Assign) else []
                targets = [part.target] if isinstance(part, ast.AnnAssign) else targets
                yield from (target.id for target in targets if isinstance(target, ast.Name))


def is_registered(node: Any) -> bool:
    """Whether a call takes it where it is defined: `@app.command()`."""
    calls = (d for d in node.decorator_list if isinstance(d, ast.Call))
    return any(isinstance(c.func, ast.Attribute) and c.func.attr == 'command' for c in calls)


def used(tree: ast.Module) -> Iterator[str]:
    """Names that are read, imported or given as keywords, and words in texts that are code."""
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield from node.name.split('.')
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Constant) and id(node) not in alone:
            yield from WORD.findall(str(node.value))


def test_each_name_is_used_somewhere():
    uses = Counter(name for tree in trees(USERS).values() for name in used(tree))
    for page in (ROOT / 'selavpr_model').rglob('*.html'):
        uses.update(WORD.findall(page.read_text(encoding='utf-8')))
    unused = {
        f'{file.relative_to(ROOT)}: {name}'
        for file, tree in trees(PACKAGES).items()
        for name in defined(tree)
        if name not in OF_LIBRARIES and not name.startswith('__') and not BY_NAME.match(name)
        if not uses[name]
    }
    assert len(uses) > 2000
    assert not unused
