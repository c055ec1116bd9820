# SPDX-License-Identifier: MIT
"""Ablations on a few real images: each table's rows are trained once, measured and kept."""

from __future__ import annotations

from pathlib import Path
import shutil

import pytest
import yaml

from selavpr_model.errors import ConfigError
from selavpr_model.training.ablate import ablate, markdown, read_plan

from where import ROOT

SHIPPED = ROOT / 'config' / 'ablations.yaml'


@pytest.fixture
def plan(shared_data, tmp_path) -> Path:
    """A recipe of twelve real places, and three runs of two steps on it."""
    for name in ('query', 'ref'):
        (tmp_path / 'pairs' / name).mkdir(parents=True)
        for file in sorted((shared_data('sped') / name).glob('*.png'))[:24:2]:
            shutil.copy(file, tmp_path / 'pairs' / name)
    recipe = {
        'model': {'blocks': 1},
        'train': {'objective': 'contrastive', 'steps': 2, 'image_px': 56, 'precision': 'fp32'},
        'sources': [{'path': 'pairs'}],
        'validation': [{'path': 'pairs'}],
    }
    (tmp_path / 'recipe.yaml').write_text(yaml.safe_dump(recipe))
    asked = {
        'recipe': 'recipe.yaml',
        'recalls': [1, 5],
        'common': {'train': {'batch_size': 3}},
        'runs': {
            'both': None,
            'cls': {'model': {'global_feature': 'cls'}},
            'global_only': {'model': {'local_head': 'tokens'}, 'train': {'local_weight': 0.0}},
        },
        'tables': {
            'Table 1': [
                {'name': 'frozen', 'local_head': 'tokens', 'blocks': 1},
                {'name': 'cls', 'run': 'cls'},
                {'name': 'global', 'run': 'global_only'},
            ],
            'Table 2': [{'name': 'five', 'run': 'both', 'candidates': 5}],
        },
    }
    (tmp_path / 'plan.yaml').write_text(yaml.safe_dump(asked))
    return tmp_path / 'plan.yaml'


def test_tables_are_trained_measured_and_kept(plan, tmp_path):
    found = ablate(read_plan(plan), tmp_path / 'out', progress=False)
    assert list(found) == ['Table 1', 'Table 2']
    rows = {**found['Table 1'], **found['Table 2']}
    for scores in rows.values():
        for value, low, high in (v for o in scores['pairs'].values() for v in o.values()):
            assert 0 <= low <= value <= high <= 100
    states = {p.parent.name: p.stat().st_mtime_ns for p in tmp_path.glob('out/*/state.pt')}
    assert set(states) == {'both', 'cls', 'global_only'}
    answers = {p: p.stat().st_mtime_ns for p in tmp_path.glob('out/answers/*')}
    assert len(answers) == 4
    assert ablate(read_plan(plan), tmp_path / 'out', progress=False) == found
    assert {p: p.stat().st_mtime_ns for p in answers} == answers
    text = (tmp_path / 'out' / 'ablations.md').read_text()
    assert markdown('Table 2', found['Table 2'], (1, 5)) in text and '| five | ' in text
    elsewhere = ablate(
        read_plan(plan), tmp_path / 'out', '2', progress=False, on=[tmp_path / 'pairs']
    )
    assert elsewhere == {'Table 2': found['Table 2']}


def test_a_run_that_is_not_there_is_named(plan):
    values = yaml.safe_load(plan.read_text())
    values['tables']['Table 2'][0]['run'] = 'bth'
    plan.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match=r'frozen, both, cls, global_only\), got bth'):
        read_plan(plan)


def test_two_rows_of_one_name_are_refused(plan):
    values = yaml.safe_load(plan.read_text())
    values['tables']['Table 1'][1]['name'] = 'frozen'
    plan.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match='Table 1: expected a name of its own'):
        read_plan(plan)


def test_a_table_that_is_not_there_is_named(plan, tmp_path):
    with pytest.raises(ConfigError, match='Table 1; Table 2'):
        ablate(read_plan(plan), tmp_path / 'out', 'Table 3')


def test_the_plan_we_ship_covers_the_tables_of_the_paper():
    plan = read_plan(SHIPPED)
    assert [title.split(':')[0] for title in plan.tables] == [
        f'Table {n}' for n in (4, 6, 7, 8, 9, 10)
    ]
    used = {row.run for rows in plan.tables.values() for row in rows}
    assert used == {'frozen', *plan.runs}
