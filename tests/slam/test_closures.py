# SPDX-License-Identifier: MIT
"""Which look-alikes close a loop: verdicts on keyframes whose places are known."""

import numpy as np

from selavpr_model.config import RecognizerConfig, SlamConfig, TemporalConfig
from selavpr_model.decision.belief import Belief
from selavpr_model.decision.ranking import Ranked
from selavpr_model.geometry.records import Geometry
from selavpr_model.records import Candidate, ClosureKind, Place, Reject
from selavpr_model.slam.closures import ClosureJudge, longest_run
from selavpr_model.slam.odometry_track import TrackPoint
from selavpr_model.slam.records import View

VERIFIED, CANDIDATE, REJECTED = ClosureKind.VERIFIED, ClosureKind.CANDIDATE, ClosureKind.REJECTED


def odometry(x):
    pose = np.eye(4)
    pose[2, 3] = x
    return pose


def place(row, x):
    return Place(row, row * 10**9, session='run', pose=odometry(x))


POINTS = [
    TrackPoint(i * 10**9, odometry(float(i)), 0, False, float(i), float(i)) for i in range(60)
]


def seen_from(row, *candidates, **fields):
    ranked = Ranked.of(candidates, RecognizerConfig())
    return View(place(row, row), row, POINTS[row], ranked, **fields)


def judged(verifier, rows=range(40, 48), temporal=None, **slam):
    """Closures of eight keyframes that see, one by one, places 0 to 7 again."""
    config = SlamConfig(**slam)
    judge = ClosureJudge(config, POINTS, lambda row, rows: [0] * len(rows), verifier, temporal)
    made = []
    for row in rows:
        seen = row - rows[0]
        others = [Candidate(place(r, r), r, 0.3, 1, 10) for r in range(20, 30)]
        best = Candidate(place(seen, seen), seen, 0.9, 0, 100)
        belief = Belief(frozenset({seen}), 0.99, 0.99, 3.0)
        made += judge.step(seen_from(row, best, *others), belief)
    return made


def test_keyframes_before_the_decision_are_closed_with_it():
    made = judged(None)
    assert [c.kind for c in made] == [CANDIDATE] * 5 + [VERIFIED] * 8
    assert [(c.after.id - 40, c.before.id) for c in made[5:]] == [(i, i) for i in range(8)]


def test_geometry_has_the_last_word_and_is_asked_within_its_budget():
    no = Geometry(agrees=False, inliers=7, reason='7 inliers, 20 needed')
    made = judged(lambda **_: no, verifications_per_s=1.0)
    verdicts = [c for c in made if c.kind is not CANDIDATE]
    assert verdicts and all(c.reject == Reject.GEOMETRY and c.inliers == 7 for c in verdicts)
    assert len(verdicts) <= 1 + 8  # one at once, one a second
    assert not any(c.kind is VERIFIED for c in made)


def test_one_look_vouches_for_the_closures_that_agree_with_it():
    asked = []

    def yes(*, before, after, rival):
        asked.append((before, after, rival))
        return Geometry(True, 80, '80 of 90 matches fit one motion')

    made = [c for c in judged(yes, verifications_per_s=0.2) if c.kind is VERIFIED]
    assert [(c.after.id - 40, c.before.id) for c in made] == [(i, i) for i in range(8)]
    looked = [c for c in made if c.inliers]
    assert 1 <= len(looked) == len(asked) <= 3
    assert 'geometry for keyframe 40' in made[1].reason
    assert all(20 <= rival < 30 for _, _, rival in asked)  # elsewhere, and not standing out


def test_looks_are_saved_up_for_a_loop_and_a_keyframe_has_one_at_most():
    def yes(*, before, after, rival):
        return Geometry(True, 80, '80 of 90 matches fit one motion')

    made = [c for c in judged(yes, verifications_per_s=0.5) if c.kind is VERIFIED]
    # keyframe 45 decides about itself and the five before it; then one keyframe a second
    assert [c.after.id for c in made if c.inliers] == [40, 46, 47]


def test_without_calibration_always_stays_a_candidate_and_auto_does_not():
    assert VERIFIED not in {c.kind for c in judged(lambda **_: None, verify='always')}
    assert VERIFIED in {c.kind for c in judged(lambda **_: None, verify='auto')}


def test_a_place_that_stayed_in_view_is_no_loop():
    assert longest_run([True, True, False, True]) == 2 and longest_run([]) == 0
    judge = ClosureJudge(SlamConfig(), POINTS, lambda row, rows: [95] * len(rows))
    best = Candidate(place(20, 20), 20, 0.9, 0, 100)
    view = seen_from(40, best)
    assert not judge._was_left(view, best)


def test_whether_a_place_was_left_is_asked_of_no_more_keyframes_than_it_takes():
    asked = []

    def count(row, rows):
        asked.extend(rows)
        return [95 if r < 23 else 0 for r in rows]

    judge = ClosureJudge(SlamConfig(left_keyframes=5), POINTS, count)
    best = Candidate(place(20, 20), 20, 0.9, 0, 100)
    assert judge._was_left(seen_from(59, best), best)
    assert asked == list(range(21, 31)), 'five of them, of which two see it, and five more'
    assert not judge._was_left(seen_from(27, best), best), 'out of view for four only'
    assert judge._was_left(seen_from(28, best), best)


def test_a_budget_of_nothing_is_as_verify_never():
    no = Geometry(agrees=False, inliers=7, reason='7 inliers, 20 needed')
    made, never = (
        [(c.kind, c.after.id, c.reason) for c in judged(lambda **_: no, **slam)]
        for slam in ({'verifications_per_s': 0.0}, {'verify': 'never'})
    )
    assert made == never and VERIFIED in {kind for kind, *_ in made}


def test_a_verdict_is_about_the_pair_that_was_announced():
    judge = ClosureJudge(SlamConfig(), POINTS, lambda row, rows: [0] * len(rows))
    first, second = (Candidate(place(row, row), row, 0.9, 0, 100) for row in (0, 9))
    view = seen_from(40, first, second, best=(first, second))
    announced = judge._wait(view, second, 'no verifications left now')
    (verdict,) = judge._expire(40 + SlamConfig().pending + 1)
    assert (announced.kind, verdict.kind) == (CANDIDATE, REJECTED)
    assert announced.before.id == verdict.before.id == 9


def test_what_is_announced_gets_a_verdict_although_the_motion_fits_another_candidate():
    judge = ClosureJudge(SlamConfig(), POINTS, lambda row, rows: [0] * len(rows))
    made = []
    for row in range(40, 47):
        seen = row - 40
        alike = [Candidate(place(18, 18), 18, 0.9, 1, 110)] if row == 40 else []
        others = [Candidate(place(r, r), r, 0.3, 1, 10) for r in range(20, 35)]
        best = (*alike, Candidate(place(seen, seen), seen, 0.9, 0, 100), *others)
        belief = Belief(frozenset({seen}), 0.99, 0.99, 3.0)
        made += judge.step(seen_from(row, *best), belief)
    told = [(c.kind, c.before.id) for c in made if c.after.id == 40]
    assert told == [(CANDIDATE, 18), (REJECTED, 18), (VERIFIED, 0)]
    assert [c.reject for c in made if c.kind is REJECTED] == [Reject.TEMPORAL]


def test_keyframes_that_match_nothing_of_the_one_before_are_no_measure_that_fails():
    judge = ClosureJudge(SlamConfig(), POINTS, lambda row, rows: [0] * len(rows))
    judge.observe_step(0)
    others = [Candidate(place(r, r), r, 0.3, 1, 10) for r in range(20, 35)]
    view = seen_from(40, Candidate(place(0, 0), 0, 0.9, 0, 100), *others)
    (made,) = judge.step(view, Belief(frozenset({0}), 0.99, 0.99, 3.0))
    assert (made.kind, made.before.id) == (CANDIDATE, 0)


def rivals(temporal):
    """The rivals that geometry is shown, of keyframes that match two places elsewhere a bit."""
    asked = []

    def no(*, before, after, rival):
        asked.append(rival)
        return Geometry(False, 7, '7 inliers, 20 needed')

    config = SlamConfig(verifications_per_s=1.0)
    judge = ClosureJudge(config, POINTS, lambda row, rows: [0] * len(rows), no, temporal)
    for row in range(40, 48):
        seen = row - 40
        others = [Candidate(place(r, r), r, 0.3, 1, 10) for r in range(22, 30)]
        elsewhere = [Candidate(place(r, r), r, 0.5, 1, n) for r, n in ((20, 30), (21, 14))]
        best = Candidate(place(seen, seen), seen, 0.9, 0, 100)
        judge.step(
            seen_from(row, best, *elsewhere, *others), Belief(frozenset({seen}), 0.99, 0.99, 3.0)
        )
    return set(asked)


def test_rivals_are_judged_by_the_temporal_settings_of_the_session():
    """What stands out is no rival; `temporal` says when it does."""
    assert rivals(TemporalConfig()) != rivals(TemporalConfig(neutral_deviations=8.0))
    assert rivals(TemporalConfig(neutral_deviations=8.0)) == {20}
