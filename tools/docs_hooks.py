# SPDX-License-Identifier: MIT
"""What mkdocs.yml needs beyond mkdocs: texts of the repository as pages, and the public API.

A page of docs/ links to a text outside it as `../CONTRIBUTING.md`. On the site that text is the
page `repository/CONTRIBUTING.md`, and links are rewritten in both directions.
"""

from __future__ import annotations

import inspect
from pathlib import Path
import posixpath
import re
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
SHELF = 'repository'
TEXTS = (
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    'maps/README.md',
    'demo/README.md',
    'examples/pose_graph/README.md',
)
LINK = re.compile(r'\]\((?!\w+:)([^)#\s]+)')
API_MARKER = '<!-- public names -->'


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the texts that lie outside docs/."""
    for text in TEXTS:
        content = (ROOT / text).read_text(encoding='utf-8')
        files.append(File.generated(config, f'{SHELF}/{text}', content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links of the repository into links of the site, and list the public names."""
    source = page.file.src_uri
    markdown = markdown.replace(API_MARKER, public_names())
    return LINK.sub(lambda link: f']({moved(link[1], source)}', markdown)


def moved(target: str, source: str) -> str:
    """Where a link of the page `source` leads on the site."""
    shelved = source.startswith(f'{SHELF}/')
    in_repository = source.removeprefix(f'{SHELF}/') if shelved else f'docs/{source}'
    folder = posixpath.dirname(in_repository)
    path = posixpath.normpath(posixpath.join(folder, target))
    there = path.removeprefix('docs/') if path.startswith('docs/') else f'{SHELF}/{path}'
    if path not in TEXTS and not path.startswith('docs/'):
        return target  # left as it is, so that --strict tells of it
    return posixpath.relpath(there, posixpath.dirname(source) or '.')


def public_names() -> str:
    """A section a public name of selavpr_model, with the documentation of what it names."""
    import selavpr_model

    names: tuple[str, ...] = tuple(getattr(selavpr_model, '__all__', ()))
    return '\n\n'.join(section(name, getattr(selavpr_model, name)) for name in names)


def section(name: str, value: Any) -> str:
    """Classes and functions are documented by mkdocstrings, where they are defined."""
    if inspect.isclass(value) or inspect.isfunction(value):
        return f'::: {value.__module__}.{value.__qualname__}'
    return f'## `{name}`\n\nThe value is `{value!r}`.'
