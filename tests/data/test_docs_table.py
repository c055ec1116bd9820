# SPDX-License-Identifier: MIT
"""docs/maps.md names each layout that is read, and tests that are there."""

from __future__ import annotations

import re

import pytest

from selavpr_model.data import sequences

from where import ROOT, TESTS

TEXT = (ROOT / 'docs' / 'maps.md').read_text(encoding='utf-8')


@pytest.mark.parametrize(
    'layout', [*sequences.LAYOUTS, sequences.LAST], ids=lambda m: m.__name__.split('.')[-1]
)
def test_each_layout_has_its_line(layout):
    name = re.split(r':| \\.|\'s ', layout.NAME)[0]
    lines = [line for line in TEXT.splitlines() if line.startswith('| ')]
    words = name.split()[-1] if name.startswith('photographs') else name
    assert any(words in line for line in lines), name


def test_each_test_that_is_named_is_there():
    named = set(re.findall(r'`((?:data|evaluation|replay)/[\w/]+\.py)`', TEXT))
    assert len(named) >= 8
    assert not [name for name in named if not (TESTS / name).is_file()]
