# SPDX-License-Identifier: MIT
"""The benchmark counts what the product counts, and its made maps are like real ones."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from selavpr_model.benchmark import index, report
from selavpr_model.benchmark.features import Growth, nearest_distances, unit
from selavpr_model.benchmark.maps import image_files
from selavpr_model.benchmark.query import same_order
from selavpr_model.benchmark.reference import count
from selavpr_model.benchmark.run import Images, run
from selavpr_model.benchmark.scale import met, QUICK, Result
from selavpr_model.cli.benchmark import EXTRA_STAGES
from selavpr_model.errors import ConfigError, SourceError
from selavpr_model.matching.nearest import count_mutual
from selavpr_ros.cli import app


def drive(rows: int, dim: int = 32, seed: int = 0) -> np.ndarray:
    """Vectors that drift, as the features of a drive do: (rows, dim) float32."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(rows, dim)).cumsum(axis=0) + 20 * rng.normal(size=dim)
    return unit(steps).astype(np.float32)


@pytest.mark.parametrize('cells', [1, 7, 256])
def test_the_reference_counts_what_the_kernel_counts(cells):
    rng = np.random.default_rng(cells)
    query = unit(rng.normal(size=(cells, 16))).astype(np.float32)
    others = [unit(query + s * rng.normal(size=query.shape)).astype('f4') for s in (0.0, 0.3, 3)]
    plain = [count(torch.from_numpy(query), torch.from_numpy(other)) for other in others]
    assert plain == count_mutual(query, others).tolist()
    assert plain[0] == cells


def test_made_places_are_as_far_apart_as_real_ones():
    real = drive(500)
    made = Growth(real).fit(3000).grow(3000)
    np.testing.assert_allclose(made[:500], real, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    ratio = np.median(nearest_distances(made)) / np.median(nearest_distances(real))
    assert 0.7 < ratio < 1.4
    noise = unit(np.random.default_rng(1).normal(size=(3000, 32))).astype(np.float32)
    assert np.median(nearest_distances(noise)) > 2 * np.median(nearest_distances(made))


def test_places_with_equal_counts_may_change_their_order():
    def answer(*found: tuple[int, int]) -> SimpleNamespace:
        return SimpleNamespace(
            candidates=[SimpleNamespace(row=row, mutual_matches=n) for row, n in found]
        )

    rows, counts = np.array([4, 5, 6]), np.array([9, 7, 7])
    assert same_order(answer((4, 90), (5, 71), (6, 70)), rows, counts)
    assert same_order(answer((4, 90), (6, 71), (5, 70)), rows, counts)
    assert not same_order(answer((6, 90), (4, 71), (5, 70)), rows, counts)


def test_a_large_map_opens_without_reading_its_places_into_memory(tmp_path):
    result = Result()
    index.opening(drive(300), tmp_path, QUICK, result)
    assert 0 < result.values['open.2k.mb_resident'] < 200


def test_search_is_measured_for_each_size_and_finds_the_nearest(tmp_path):
    real, result = drive(300), Result()
    index.search(real, real[:50], real[50:100], QUICK, result)
    for size in ('200', '1k'):
        assert result.values[f'index.{size}.recall_at_100'] == 1.0
    drawn = report.plots(result, tmp_path)
    assert [path.name for path in drawn] == ['map_size.png'] and drawn[0].stat().st_size > 1000


def test_goals_are_met_or_not():
    assert met('ratio.forward.vitl', 3.5) and not met('ratio.forward.vitl', 3.4)
    assert met('bytes_per_place.tiny', 60_000) and not met('bytes_per_place.tiny', 60_001)
    assert met('ms.decode.p50', 1.0) is None
    result = Result({'ratio.forward.vits': 2.0}, {'threads': 2})
    assert report.to_json(result)['goals_met'] == {'ratio.forward.vits': False}
    assert report.table(result).row_count == 1


def test_the_command_writes_the_agreed_keys(shared_data, tmp_path):
    sped, out = shared_data('sped'), tmp_path / 'out.json'
    folders = ['--images', str(sped / 'ref'), '--queries', str(sped / 'query')]
    chosen = ['--data', str(sped.parent), '--only', 'vits', '--quick']
    words = ['benchmark', *folders, *chosen, '--json', str(out)]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    values = json.loads(out.read_text())
    k = max(QUICK.ks)
    wanted = {
        f'bytes_per_place.{kind}' for kind in ('fp32', 'exact', 'dense', 'fast', 'compact', 'tiny')
    }
    wanted |= {'ratio.forward.vits', f'ratio.query.vits.k{k}', f'ms.query.vits.k{k}.p50'}
    wanted |= {f'ratio.rerank_{kind}.k{k}' for kind in ('exact', 'compact', 'fast')}
    assert values.keys() >= wanted | {'machine', 'threads', 'versions', 'goals_met'}
    assert values['instruction_sets'][0] == 'scalar' and values['isa_limit'] == ''
    kinds = ('exact', 'dense', 'fast', 'compact', 'tiny')
    sizes = [values[f'bytes_per_place.{kind}'] for kind in kinds]
    assert sizes == sorted(sizes, reverse=True)
    assert all(met(f'bytes_per_place.{kind}', size) is not False
               for kind, size in zip(kinds, sizes, strict=True))  # fmt: skip


def test_each_engine_and_the_start_of_a_process_are_measured(shared_data):
    sped = shared_data('sped')
    images = Images(sped / 'ref', sped / 'query', sped.parent)
    values = run(images, QUICK, ['engines', 'start']).values
    assert values.keys() >= {'ms.engine.vits.plain_fp32', 'ms.engine.vits.fused_fp32'}
    steps = [values[f's.start.{step}'] for step in ('import', 'weights', 'map', 'answer')]
    assert min(steps) > 0 and values['s.start.first_answer'] == pytest.approx(sum(steps))
    assert 50 < values['mb.start.resident'] < 3000


def test_what_cannot_be_measured_is_said(tmp_path):
    with pytest.raises(SourceError, match='--images'):
        image_files(tmp_path, 5)
    with pytest.raises(ConfigError, match='index'):
        run(Images(Path(), Path(), Path()), QUICK, ['indx'])


def test_publishing_is_measured_with_ros_and_skipped_with_a_line_without(monkeypatch, caplog):
    nowhere = Images(Path(), Path(), Path())
    result = run(nowhere, QUICK, ['publish'], EXTRA_STAGES)
    assert ('ms.publish.p50' in result.values) != ('stage publish: skipped' in caplog.text)
    caplog.clear()
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    assert not run(nowhere, QUICK, ['publish'], EXTRA_STAGES).values
    assert 'skipped, as there is no rclpy' in caplog.text
