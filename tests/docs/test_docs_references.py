# SPDX-License-Identifier: MIT
"""Links, paths and quotations of README and docs lead to what is there; the site builds."""

from __future__ import annotations

import functools
import os
from pathlib import Path
import re
import subprocess
import sys

from docs_text import DOCS, README, Text, TEXTS
import pytest

from where import ROOT


class TestReferences:
    @pytest.mark.parametrize('text', TEXTS, ids=lambda text: text.name)
    def test_every_link_leads_somewhere(self, text: Text) -> None:
        for target in re.findall(r'\]\(([^)\s]+)\)', text.prose):
            path, _, anchor = target.partition('#')
            if '://' in target or path.startswith('../../actions/'):
                continue
            file = (text.path.parent / path).resolve() if path else text.path
            assert file.is_file(), f'{text.name}: {target}'
            if anchor:
                assert anchor in anchors(file), f'{text.name}: {target}'

    @pytest.mark.parametrize('text', [README, *DOCS], ids=lambda text: text.name)
    def test_every_path_in_backticks_exists(self, text: Text) -> None:
        known = tracked()
        lost = {
            path
            for path in named_paths(text)
            if not {path, f'{path}/'} & known and not any(k.endswith(f'/{path}') for k in known)
        }
        assert not lost, f'{text.name} names what is not here: {sorted(lost)}'

    def test_every_interface_of_ours_exists(self) -> None:
        shown = {name for text in TEXTS for name in re.findall(r'`selavpr/(\w+)`', text.prose)}
        defined = {path.stem for path in [*ROOT.glob('msg/*.msg'), *ROOT.glob('srv/*.srv')]}
        assert {'PlaceHypotheses', 'Relocalize'} <= shown <= defined

    @pytest.mark.parametrize('text', TEXTS, ids=lambda text: text.name)
    def test_nothing_is_left_to_fill_in(self, text: Text) -> None:
        assert not re.findall(r'<<.*|\bTODO\b.*|\bTBD\b.*|\bXXX\b.*|@[A-Z]+@', text.whole)

    def test_the_folders_of_the_method_are_all_explained(self) -> None:
        told = Text('docs/how_it_works.md').whole
        folders = {path.parent.name for path in ROOT.glob('selavpr_model/*/__init__.py')}
        apart = {'config', 'runtime', 'data', 'cli'}  # no step of the method
        assert folders > apart
        assert [name for name in sorted(folders - apart) if f'`{name}/`' not in told] == []

    def test_what_the_node_is_quoted_to_say_is_what_it_says(self) -> None:
        sources = [*ROOT.glob('selavpr_model/**/*.py'), *ROOT.glob('selavpr_ros/**/*.py')]
        said = ' '.join(path.read_text(encoding='utf-8') for path in sources)
        said = re.sub(r"'\n\s*f?'", '', said)  # of a text that goes on in the next line
        _, _, table = Text('docs/robot.md').whole.partition('| it says |')
        rows = re.findall(
            r'^\| (?:LOST, |AMBIGUOUS, |LOCALIZED, )?`([^`]+)` \|', table, re.MULTILINE
        )
        assert len(rows) > 5
        for quoted in rows:
            parts = re.split(r'\.\.\.|\b[A-Z]\b|\d[\d.]*', quoted)
            longest = max(parts, key=len).strip(' ,')
            assert len(longest) > 7 and longest in said, quoted


def anchors(file: Path) -> set[str]:
    """What headings are called in links."""
    headings = re.findall(r'^#+ (.+)$', file.read_text(encoding='utf-8'), re.MULTILINE)
    plain = (re.sub(r'[^\w\s-]', '', heading.lower()).strip() for heading in headings)
    return {re.sub(r'[\s]+', '-', heading) for heading in plain}


@functools.cache
def tracked() -> frozenset[str]:
    """Files of the repository, and the folders they are in with a slash at the end."""
    words = ['git', '-C', str(ROOT), 'ls-files', '--cached', '--others', '--exclude-standard']
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split('\n')
    files = {line for line in listed if line and (ROOT / line).is_file()}
    return frozenset(files | {f'{folder}/' for file in files for folder in Path(file).parents})


def named_paths(text: Text) -> set[str]:
    """What in backticks looks like a path in the repository, or like one of its files' names."""
    spans = set(re.findall(r'`([\w./-]+)`', text.prose))
    roots = {name.split('/')[0] for name in tracked() if '/' in name and name != './'}
    inside = {s for s in spans if '/' in s and s.split('/')[0] in roots and s != 'demo/winter'}
    return inside | {s for s in spans if re.fullmatch(r'[\w-]+\.(py|md|msg|srv|toml)', s)}


class TestSite:
    @pytest.mark.slow
    def test_it_builds_without_a_warning(self, tmp_path: Path) -> None:
        here = {**os.environ, 'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'}
        words = [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--quiet']
        done = subprocess.run([*words, '--site-dir', str(tmp_path / 'site')], cwd=ROOT,
                              capture_output=True, text=True, env=here)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        api = (tmp_path / 'site' / 'api' / 'index.html').read_text(encoding='utf-8')
        import selavpr_model

        assert len(selavpr_model.__all__) > 20
        for name in selavpr_model.__all__:
            assert re.search(rf'<h2[^>]*>(?:(?!</h2>).)*\b{name}\b', api, re.DOTALL), name

    def test_every_page_is_in_the_menu(self) -> None:
        menu = (ROOT / 'mkdocs.yml').read_text(encoding='utf-8')
        assert [text.name for text in DOCS if f': {text.path.name}\n' not in menu] == []
