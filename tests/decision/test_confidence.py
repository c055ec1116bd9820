# SPDX-License-Identifier: MIT
"""The probability that a place is right: its properties, its fit, and its way through a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
import json

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.config import RecognizerConfig
from selavpr_model.decision.confidence import (
    Confidence,
    evidence,
    FEATURES,
    features_of,
    with_confidence,
)
from selavpr_model.decision.confidence_fit import (
    adapted,
    at_level,
    fit_logistic,
    fit_prior,
    shipped,
    shipped_growing,
    Source,
)
from selavpr_model.decision.distinct import are_distinct, Distinct, distinct_from, Viewpoints
from selavpr_model.decision.ranking import Ranked
from selavpr_model.decision.reliability import (
    calibration_error,
    chance_error,
    precision_at,
    reliability,
)
from selavpr_model.errors import MapMetadataError
from selavpr_model.maps.storage.manifest import encode
from selavpr_model.maps.storage.store import open_map
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Candidate, Frame, Place

CONFIG = RecognizerConfig()
KEYS = adapted(shipped(), np.zeros((0, len(FEATURES))), np.zeros(0, bool))
COUNTS = st.lists(st.integers(0, 900), min_size=1, max_size=30)
COSINES = st.floats(-1.0, 1.0, width=32)


def place(number: int, x: float) -> Place:
    T = np.eye(4)
    T[0, 3] = x
    return Place(number, number, pose=T)


def candidates(counts: list[int], cosine: float = 0.5) -> list[Candidate]:
    """Places 20 m apart in the order of their matches."""
    return [
        Candidate(place(i, 20.0 * i), i, cosine if i == 0 else 0.1, i, n)
        for i, n in enumerate(sorted(counts, reverse=True))
    ]


def ranked(found: list[Candidate], elsewhere: Sequence[Candidate] = ()) -> Ranked:
    return Ranked.of(found, CONFIG, elsewhere)


def confidences(found: list[Candidate]) -> list[float]:
    return [c.confidence for c in with_confidence(ranked(found), KEYS).candidates[:5]]


@given(COUNTS, COSINES)
def test_a_confidence_is_a_probability(counts, cosine):
    assert all(0.0 < p < 1.0 for p in confidences(candidates(counts, cosine)))


@given(COUNTS, st.integers(0, 500))
def test_more_matches_never_make_the_best_place_less_probable(counts, more):
    found = candidates(counts)
    better = [replace(found[0], mutual_matches=found[0].mutual_matches + more), *found[1:]]
    assert confidences(better)[0] >= confidences(found)[0] - 1e-12


@given(COUNTS, COSINES, COSINES)
def test_a_higher_cosine_never_makes_the_best_place_less_probable(counts, a, b):
    low, high = sorted((a, b))
    assert confidences(candidates(counts, high)) >= confidences(candidates(counts, low))


@given(st.lists(st.integers(0, 900), min_size=2, max_size=30), st.integers(0, 900))
def test_a_neighbour_is_no_rival_but_speaks_for_the_place(counts, matches):
    found = candidates(counts)
    beside = replace(found[0], place=place(99, 2.0), row=99, mutual_matches=matches)
    alone, beside_it = (
        features_of(ranked(f), 1)[0] for f in (found, [found[0], beside, *found[1:]])
    )
    support = FEATURES.index('support')
    np.testing.assert_allclose(np.delete(alone, support), np.delete(beside_it, support))
    assert alone[support] == 0.0
    assert np.sign(beside_it[support]) == np.sign(matches - found[1].mutual_matches)


@given(st.integers(0, 900), st.lists(st.integers(0, 900), min_size=1, max_size=30))
def test_every_rival_weakens_the_evidence_and_the_best_one_bounds_it(matches, rivals):
    some, all_ = evidence(matches, np.array(rivals[1:])), evidence(matches, np.array(rivals))
    lead = np.sqrt(matches + 3 / 8) - np.sqrt(max(rivals) + 3 / 8)
    assert all_ <= some + 1e-12
    assert min(lead - np.log(len(rivals)), 27.6) - 1e-9 <= all_ <= lead + 1e-9


def test_a_candidate_without_any_rival_gets_no_evidence():
    found = [replace(c, place=place(i, 0.1 * i)) for i, c in enumerate(candidates([90, 80]))]
    assert features_of(ranked(found))[:, :3].tolist() == [[0.0] * 3] * 2


@given(COUNTS, st.lists(st.integers(0, 900), min_size=1, max_size=9))
def test_what_is_known_to_be_elsewhere_is_a_rival_of_every_candidate(counts, left):
    found = candidates(counts)
    elsewhere = [Candidate(found[0].place, 500 + i, 0.0, 500 + i, n) for i, n in enumerate(left)]
    alone, beside = (features_of(ranked(found, e))[0] for e in ((), elsewhere))
    apart = [replace(c, place=place(c.row, 20.0 * c.row)) for c in elsewhere]
    np.testing.assert_allclose(beside, features_of(ranked([*found, *apart]))[0])
    assert len(found) == 1 or beside[0] <= alone[0] + 1e-12


@given(COUNTS, st.integers(1, 400))
def test_a_growing_map_compares_matches_with_those_of_its_own_keyframes(counts, usual):
    found = candidates(counts)
    low, high = (
        with_confidence(ranked(found), at_level(shipped_growing(), n)).candidates[0].confidence
        for n in (usual, 2 * usual)
    )
    assert high <= low


@given(
    st.lists(
        st.tuples(st.floats(-20, 20), st.booleans(), st.integers(0, 9), st.sampled_from('ab')),
        min_size=1,
        max_size=8,
    )
)
def test_places_are_told_apart_at_once_as_one_by_one(drawn):
    """A pose in another frame, and a stamp of another session, says nothing about the distance."""
    places = [
        replace(
            place(i, x), pose=place(i, x).pose if posed else None, stamp_ns=s * 10**9, session=run
        )
        for i, (x, posed, s, run) in enumerate(drawn)
    ]
    frames = [f'odom {p.session}' for p in places]
    distinct = Distinct(Viewpoints.of(places, frames), CONFIG)
    for i, a in enumerate(places):
        expected = [
            (a.session != b.session or abs(a.stamp_ns - b.stamp_ns) > 5 * 10**9)
            if a.pose is None or b.pose is None
            else (a.session != b.session or abs(a.pose[0, 3] - b.pose[0, 3]) > 5.0)
            for b in places
        ]
        assert distinct[i].tolist() == expected
        one_by_one = [are_distinct(a, b, CONFIG) for b in places]
        assert distinct_from(a, places, CONFIG).tolist() == one_by_one


def made_up(seed: int, level: float = 0.0) -> Source:
    """Right answers have the larger first feature; a map's wrong ones lie around `level`."""
    rng = np.random.default_rng(seed)
    right = rng.random(400) < 0.5
    x = rng.normal(size=(400, len(FEATURES))) + level
    x[right, 0] += 3.0
    return Source(x, right, rng.normal(size=(100, len(FEATURES))) + level)


def test_the_fit_finds_the_number_that_tells_and_keeps_what_it_promises():
    prior = fit_prior([made_up(seed) for seed in range(4)])
    assert np.argmax(prior.model.weights) == 0 and min(prior.model.weights) >= 0.0
    unseen = made_up(9)
    model = adapted(prior, unseen.wrong, np.zeros(len(unseen.wrong), bool))
    error = calibration_error(reliability(model.of(unseen.x), unseen.right))
    assert error < 0.05


def test_every_kind_of_scene_counts_alike_however_many_sources_it_has():
    some, other = (replace(made_up(seed), kind=str(seed)) for seed in range(2))
    other = replace(other, right=np.arange(400) < 100)
    once, often = fit_prior([some, other]), fit_prior([some, other, other, other])
    assert once.share == pytest.approx((np.mean(some.right) + 0.25) / 2, abs=1e-4)
    assert often.share == pytest.approx(once.share, abs=2e-4)
    assert often.right == pytest.approx(once.right, abs=0.1)
    unkind = fit_prior([replace(s, kind='') for s in (some, other, other, other)])
    assert unkind.share < once.share - 0.05


def test_a_number_that_speaks_against_counts_for_nothing():
    x, right = made_up(0).x, made_up(0).right
    assert fit_logistic(-x, right)[1][0] == 0.0


@pytest.mark.parametrize('level', [-2.0, 2.0])
def test_a_map_whose_wrong_answers_look_better_is_trusted_less(level):
    prior = fit_prior([made_up(seed) for seed in range(4)])
    usual, here = made_up(5), made_up(6, level)
    none = np.zeros(100, bool)
    shown = np.full((1, len(FEATURES)), 1.5)
    before, after = (adapted(prior, s.wrong, none).of(shown)[0] for s in (usual, here))
    assert (after < before) == (level > 0)


def test_without_wrong_answers_of_its_own_a_map_takes_the_shipped_ones():
    assert KEYS.negatives == KEYS.positives == 0 and KEYS.reliability == ()
    assert KEYS.weights[0] > 0.0


def test_belief_and_frame_both_raise_the_confidence_of_a_sequence():
    assert KEYS.over_time(0.9, 0.9) > KEYS.over_time(0.9, 0.5) > KEYS.over_time(0.5, 0.5)
    assert 0.0 < KEYS.over_time(0.0, 0.0) < KEYS.over_time(1.0, 1.0) < 1.0


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1))
def test_every_answer_is_in_one_bin_of_the_diagram(answers):
    sure, right = (np.array(column) for column in zip(*answers, strict=True))
    bins = reliability(sure, right)
    assert sum(b.count for b in bins) == len(answers)
    assert 0.0 <= calibration_error(bins) <= 1.0
    assert precision_at(sure, right, 0.0) == (round(float(right.mean()), 4), len(answers))


def test_few_answers_of_a_perfect_forecast_miss_as_much_as_drawn_ones_do():
    rng = np.random.default_rng(0)
    sure = rng.random(100)
    drawn = [calibration_error(reliability(sure, rng.random(100) < sure)) for _ in range(300)]
    assert chance_error(reliability(sure, sure > 2)) == pytest.approx(np.mean(drawn), abs=0.01)
    assert chance_error(()) is None


def test_a_perfect_forecast_has_no_error_and_a_boast_has_all_of_it():
    right = np.array([True] * 75 + [False] * 25)
    assert calibration_error(reliability(np.full(100, 0.75), right)) == pytest.approx(0.0)
    assert calibration_error(reliability(np.full(100, 1.0), ~np.ones(100, bool))) == 1.0
    assert calibration_error(()) is None


def test_a_real_map_keeps_its_confidence_and_its_diagram(street_map):
    sure = open_map(street_map).calibration.confidence
    assert Confidence.from_dict(json.loads(json.dumps(sure.to_dict()))) == sure
    assert sum(b.count for b in sure.reliability) == sure.positives + sure.negatives > 0
    values = json.loads((street_map / 'manifest.json').read_text())['calibration']['confidence']
    assert values['negatives'] == sure.negatives
    assert set(values['weights']) == set(FEATURES)


def test_min_precision_is_the_least_confidence_of_a_frame_alone(street_map, street, extractor):
    place_map = open_map(street_map)
    first = PlaceRecognizer(extractor, place_map).process(street[3])
    states = []
    for change in (-0.001, 0.001):
        least = min(1.0, max(0.0, first.alone_confidence + change))
        config = RecognizerConfig(min_precision=least)
        states.append(PlaceRecognizer(extractor, place_map, config).process(street[3]).state)
    assert [s.name for s in states] == ['LOCALIZED', 'AMBIGUOUS']


def test_a_damaged_confidence_is_a_damaged_manifest(street_map, tmp_path):
    manifest = json.loads((street_map / 'manifest.json').read_text())
    del manifest['manifest_sha256'], manifest['calibration']['confidence']['intercept']
    (tmp_path / manifest['data']).symlink_to(street_map / manifest['data'])
    (tmp_path / 'manifest.json').write_bytes(encode(manifest))
    with pytest.raises(MapMetadataError, match='calibration'):
        open_map(tmp_path)


def test_each_hypothesis_has_its_own_confidence(street_map, street, extractor):
    image = street[3].image
    found = PlaceRecognizer(extractor, open_map(street_map)).process(Frame(0, image))
    sure = [c.confidence for c in found.candidates]
    assert sure[0] == max(p for p in sure if p is not None) and None not in sure[:5]
