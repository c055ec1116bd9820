# SPDX-License-Identifier: MIT
"""Recall of real image pairs through the recogniser, against one computed by hand."""

from __future__ import annotations

import json
from pathlib import Path
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from selavpr_model.cli.app import app
from selavpr_model.config import (
    EvaluationConfig,
    ExtractorConfig,
    MapConfig,
    RecognizerConfig,
)
from selavpr_model.data.datasets import open_dataset
from selavpr_model.data.image_folder import read_rgb
from selavpr_model.errors import ConfigError, InputError
from selavpr_model.evaluation.evaluate import evaluate
from selavpr_model.features.extractor import load_extractor
from selavpr_model.matching.matcher import Matcher

PAIRS = 12


@pytest.fixture(scope='module')
def pairs(shared_data, tmp_path_factory) -> Path:
    """The first validation pairs of sped, real images of two seasons."""
    path = tmp_path_factory.mktemp('data') / 'sped_part'
    for side in ('query', 'ref'):
        (path / side).mkdir(parents=True)
        for file in open_names(shared_data('sped') / side):
            shutil.copy(file, path / side / file.name)
    return path


def open_names(folder: Path) -> list[Path]:
    return [f for f in sorted(folder.glob('*.png')) if f.name >= '0400'][:PAIRS]


@pytest.fixture(scope='module')
def tiny():
    """Random weights at 56 px: for the plumbing."""
    return load_extractor(
        ExtractorConfig(
            random_weights=True, image_height=56, image_width=56, device='cpu', precision='fp32'
        )
    )


@pytest.fixture(scope='module')
def small():
    """The real backbone at 112 px, where an image takes a quarter of the time."""
    return load_extractor(ExtractorConfig(image_height=112, image_width=112, precision='fp32'))


def by_hand(data, extractor, k: int, score: str) -> tuple[list[list[int]], list[list[int]]]:
    """Both orders of every query, from the features alone."""
    references = extractor.extract_batch([read_rgb(f) for f in data.references.files])
    vectors = np.stack([r.global_ for r in references])
    cells = np.stack([r.local.reshape(-1, r.local.shape[-1]) for r in references])
    global_, reranked = [], []
    for file in data.queries.files:
        query = extractor.extract(read_rgb(file))
        order = np.argsort(-(vectors @ query.global_), kind='stable')
        matcher = Matcher(query.local.shape[:2], 1, score)
        counts = matcher.count(query.local.reshape(-1, cells.shape[-1]), cells[order[:k]])
        again = np.argsort(-counts, kind='stable')
        global_.append(order.tolist())
        reranked.append([*order[:k][again].tolist(), *order[k:].tolist()])
    return global_, reranked


def recalls(orders: list[list[int]]) -> dict[str, float]:
    ranks = [order.index(query) for query, order in enumerate(orders)]
    return {f'recall_at_{n}': 100 * sum(r < n for r in ranks) / len(ranks) for n in (1, 5, 10)}


@pytest.mark.parametrize('score', ['consistent', 'mutual'])
@pytest.mark.parametrize('k', [3, 20])
def test_recalls_are_those_of_features_ordered_by_hand(pairs, small, k, score):
    data = open_dataset(pairs)
    result = evaluate(
        data, small, MapConfig(local_dtype='exact'),
        RecognizerConfig(candidates=k, score=score, similarity_weight=0.0), progress=False,
    ).to_dict()  # fmt: skip
    assert result['score'] == score
    global_, reranked = by_hand(data, small, k, score)
    assert result['global'] == pytest.approx(recalls(global_))
    assert result['reranked'] == pytest.approx(recalls(reranked))
    assert (result['queries'], result['places'], result['k']) == (PAIRS, PAIRS, k)
    assert result['fingerprint'] == small.identity.fingerprint


def test_a_place_seen_again_in_the_same_image_is_always_found(pairs, tiny, tmp_path):
    for side in ('query', 'ref'):
        shutil.copytree(pairs / 'ref', tmp_path / side)
    result = evaluate(open_dataset(tmp_path), tiny, progress=False).to_dict()
    perfect = {'recall_at_1': 100.0, 'recall_at_5': 100.0, 'recall_at_10': 100.0}
    assert result['global'] == perfect and result['reranked'] == perfect
    assert result['interval_95']['global']['recall_at_1'] == [100.0, 100.0]
    assert result['precision_recall']['reranked']['recall_at_full_precision'] == 1.0


def test_queries_without_a_positive_are_counted_and_missed(pairs, tiny, tmp_path):
    shutil.copytree(pairs / 'query', tmp_path / 'query')
    (tmp_path / 'ref').mkdir()
    for i, file in enumerate(open_names(pairs / 'ref')[:3]):
        shutil.copy(file, tmp_path / 'ref' / f'other_{i}.png')
    result = evaluate(open_dataset(tmp_path), tiny, progress=False).to_dict()
    assert result['queries_without_positives'] == PAIRS - 3
    assert result['global']['recall_at_10'] == pytest.approx(100 * 3 / PAIRS)


def test_queries_whose_place_was_taken_away_do_not_count_as_missed(pairs, tiny, tmp_path):
    for side in ('query', 'ref'):
        shutil.copytree(pairs / 'ref', tmp_path / side)
    config = EvaluationConfig(absent=0.3)
    result = evaluate(open_dataset(tmp_path), tiny, config=config, progress=False).to_dict()
    assert result['queries_without_positives'] == 4
    assert result['global']['recall_at_1'] == result['reranked']['recall_at_1'] == 100.0
    assert result['interval_95']['global']['recall_at_1'] == [100.0, 100.0]


@pytest.mark.parametrize('side', ['query', 'ref'])
def test_a_broken_image_is_named(pairs, tiny, tmp_path, side):
    path = shutil.copytree(pairs, tmp_path / 'data')
    broken = open_names(path / side)[2]
    broken.write_bytes(b'no image')
    with pytest.raises(InputError, match=f'{side}/{broken.name}: expected a whole'):
        evaluate(open_dataset(path), tiny, progress=False)


def test_the_command_prints_the_table_and_writes_all_a_result_depends_on(pairs, tmp_path):
    out = tmp_path / 'result.json'
    options = ['--random-weights', '--size', '56', '--queries', '2:8', '--json', str(out)]
    done = CliRunner().invoke(app, ['evaluate', str(pairs), *options], env={'COLUMNS': '120'})
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    assert result['queries'] == 6 and result['places'] == PAIRS
    assert 'RANDOM WEIGHTS' in done.output and 'RANDOM WEIGHTS' in result['note']
    assert f'{result["reranked"]["recall_at_1"]:.1f}' in done.output
    assert 'k-th name = k-th place' in done.output and '2:8' in result['protocol']
    assert result['config']['extractor']['image_height'] == 56
    assert result['local_features'].endswith('fast')
    assert result['ms_per_query']['p95'] >= result['ms_per_query']['p50'] > 0


def test_with_places_taken_away_the_confidence_is_scored_and_drawn(pairs, tmp_path):
    out, plots = tmp_path / 'result.json', tmp_path / 'plots'
    options = ['--size', '112', '--absent', '0.3', '--json', str(out), '--plots', str(plots)]
    done = CliRunner().invoke(app, ['evaluate', str(pairs), *options], env={'COLUMNS': '120'})
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    assert result['queries_without_positives'] == 4 and result['places'] == PAIRS - 4
    worth = result['trust']
    assert set(worth) == {'min_precision', 'similarity', 'matches', 'confidence'}
    matches = result['precision_recall']['reranked']
    assert worth['matches']['average_precision'] == pytest.approx(
        matches['average_precision'], abs=1e-4
    )
    assert sum(b['count'] for b in worth['confidence']['reliability']) == PAIRS
    assert 0.0 <= worth['confidence']['expected_calibration_error'] <= 1.0
    assert 'confidence alone' in done.output
    assert '4 queries without positives, left out of R@N' in ' '.join(done.output.split())
    assert '4 queries without their place' in result['protocol']
    drawn = {file.name for file in plots.iterdir()}
    assert drawn == {'precision_recall.svg', 'full_precision.svg', 'reliability.svg'}


def test_a_sequence_needs_queries_with_poses(pairs, tiny):
    with pytest.raises(ConfigError, match='sequence: expected queries with poses'):
        evaluate(open_dataset(pairs), tiny, config=EvaluationConfig(sequence=True))


def test_the_second_lap_of_a_circuit_is_also_decided_with_time(shared_data, tiny):
    data = open_dataset(shared_data('circuits') / 'hacienda', query_slice=slice(0, 12))
    config = EvaluationConfig(absent=0.2, sequence=True)
    result = evaluate(data, tiny, config=config, progress=False).to_dict()
    assert 'average_precision' in result['trust']['over_time']
    assert 'queries without their place' in result['protocol']


@pytest.mark.timeout(900)
def test_essex_is_as_good_as_the_independent_code_that_was_measured(shared_data, tmp_path):
    out = tmp_path / 'essex.json'
    path = str(shared_data('essex3in1'))
    options = ['--weights', 'imgfocus_vits14', '--k', '10', '--precision', 'fp32']
    done = CliRunner().invoke(app, ['evaluate', path, *options, '--json', str(out)])
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    assert (result['queries'], result['places']) == (200, 200)
    assert result['global']['recall_at_1'] == pytest.approx(45.5, abs=1.5)
    assert result['global']['recall_at_5'] == pytest.approx(70.0, abs=1.5)
    assert result['reranked']['recall_at_1'] > result['global']['recall_at_1'] + 5
