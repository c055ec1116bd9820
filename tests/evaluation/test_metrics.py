# SPDX-License-Identifier: MIT
"""Scores against a slow, obvious implementation of their definitions."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.evaluation import metrics

ROWS = st.integers(0, 12)
RANKING = st.lists(ROWS, unique=True, max_size=12)
QUERIES = st.lists(st.tuples(RANKING, st.sets(ROWS)), min_size=1, max_size=20)
ANSWERS = st.lists(
    st.tuples(st.integers(-3, 3).map(float) | st.just(-math.inf), st.booleans()),
    min_size=1,
    max_size=30,
)


def as_arrays(lists):
    return [np.array(sorted(v) if isinstance(v, set) else v, dtype=np.int64) for v in lists]


def recall(ranked, positives, ns=metrics.RECALL_AT):
    return metrics.recall_of_hits(metrics.first_hits(ranked, positives), ns)


@given(QUERIES, st.integers(1, 15))
def test_recall_is_the_share_of_all_queries_with_a_positive_among_the_best_n(queries, n):
    ranked, positives = zip(*queries, strict=True)
    found = sum(any(row in right for row in order[:n]) for order, right in queries)
    percent = recall(as_arrays(ranked), as_arrays(positives), (n,))[n]
    assert percent == pytest.approx(100 * found / len(queries))


@given(QUERIES)
def test_recall_never_falls_when_more_places_are_looked_at(queries):
    ranked, positives = zip(*queries, strict=True)
    recalls = list(recall(as_arrays(ranked), as_arrays(positives)).values())
    assert recalls == sorted(recalls) and recalls[0] >= 0 and recalls[-1] <= 100


def test_a_query_without_positives_counts_as_missed():
    ranked, positives = as_arrays([[0], [0]]), as_arrays([[0], []])
    assert recall(ranked, positives, (1,)) == {1: 50.0}


def test_rankings_and_positives_of_different_number_are_refused():
    with pytest.raises(ValueError, match='argument 2'):
        recall(as_arrays([[0], [1]]), as_arrays([[0]]))


def test_recall_of_no_queries_is_not_a_number():
    assert math.isnan(recall([], [])[1])


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 5))
def test_the_interval_holds_the_recall_and_repeats_with_its_seed(hits, seed):
    ranks = np.array(hits, dtype=np.int64)
    low, high = metrics.bootstrap_interval(ranks, 1, 4000, seed)
    assert 0 <= low <= metrics.recall_of_hits(ranks, (1,))[1] <= high <= 100
    assert (low, high) == metrics.bootstrap_interval(ranks, 1, 4000, seed)


def test_the_interval_is_that_of_drawing_the_queries_again():
    ranks = np.repeat([0, metrics.NEVER], [60, 40])
    draws = np.random.default_rng(3).integers(0, 100, (20000, 100))
    slow = np.quantile(100 * (ranks[draws] < 1).mean(axis=1), [0.025, 0.975])
    assert metrics.bootstrap_interval(ranks, 1, 20000, 0) == pytest.approx(tuple(slow), abs=1.01)


def brute_force_curve(answers, possible):
    """threshold -> (precision, recall), each counted from scratch."""
    curve = {}
    for threshold in sorted({s for s, _ in answers if math.isfinite(s)}, reverse=True):
        accepted = [right for score, right in answers if score >= threshold]
        curve[threshold] = (sum(accepted) / len(accepted), sum(accepted) / possible)
    return curve


@given(ANSWERS, st.integers(0, 5))
def test_every_threshold_has_the_precision_and_recall_of_its_accepted_answers(answers, missing):
    possible = max(sum(right for _, right in answers) + missing, 1)
    scores, right = map(np.array, zip(*answers, strict=True))
    curve = metrics.precision_recall(scores, right, possible)
    expected = brute_force_curve(answers, possible)
    assert curve.thresholds.tolist() == list(expected)
    points = list(zip(curve.precision, curve.recall, strict=True))
    assert np.allclose(points, list(expected.values())) if points else not expected


@given(ANSWERS)
def test_recall_at_full_precision_is_the_longest_faultless_acceptance(answers):
    possible = max(sum(right for _, right in answers), 1)
    scores, right = map(np.array, zip(*answers, strict=True))
    faultless = [r for p, r in brute_force_curve(answers, possible).values() if p == 1]
    curve = metrics.precision_recall(scores, right, possible)
    assert curve.recall_at_full_precision == pytest.approx(max(faultless, default=0.0))
    assert 0 <= curve.auc <= 1


def test_a_perfect_order_has_area_one_and_a_reversed_one_less():
    scores = np.array([4.0, 3.0, 2.0, 1.0])
    good = metrics.precision_recall(scores, np.array([True, True, False, False]), 2)
    bad = metrics.precision_recall(scores, np.array([False, False, True, True]), 2)
    assert good.auc == 1.0 and good.recall_at_full_precision == 1.0
    assert bad.auc == pytest.approx(0.5 * (1 / 3 + 2 / 4)) and bad.recall_at_full_precision == 0.0


def test_no_answers_give_an_empty_curve():
    curve = metrics.precision_recall(np.array([-np.inf]), np.array([False]), 1)
    assert len(curve.thresholds) == 0 and curve.auc == 0.0
