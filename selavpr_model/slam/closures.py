# SPDX-License-Identifier: MIT
"""Which look-alikes of a growing map are loop closures: sequence, motion, then geometry."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
import math

import numpy as np

from selavpr_model.config import SlamConfig, TemporalConfig
from selavpr_model.decision.belief import Belief
from selavpr_model.decision.evidence import by_matches
from selavpr_model.geometry.records import Geometry, Verifier
from selavpr_model.records import Candidate, ClosureKind, LoopClosure, Reject
from selavpr_model.runtime.budget import Budget
from selavpr_model.slam.odometry_track import motion_error_m, TrackPoint
from selavpr_model.slam.records import closure, View, with_geometry

KEPT = 3  # candidates of a keyframe that may turn out to be its loop
STEPS = 20  # consecutive keyframes that say how many matches neighbours have
# Loops are rare and short: a robot meets its old way again for seconds, after minutes without a
# question. Looks saved up make some of these closures metric; a keyframe waits for one at most.
SAVED_S = 10.0


class ClosureJudge:
    """A verdict for each keyframe that looks like an earlier one: VERIFIED or REJECTED.

    Where the following keyframes have to decide, the pair is announced as a CANDIDATE before.
    Where they show that the keyframe is at another place, the announced pair is REJECTED and the
    other pair has a verdict of its own.
    """

    def __init__(
        self,
        config: SlamConfig,
        points: Sequence[TrackPoint],
        count: Callable[[int, Sequence[int]], Iterable[int]],
        verifier: Verifier | None = None,
        temporal: TemporalConfig | None = None,
    ) -> None:
        """points: of each row of the map, may grow; count: matches of a row with rows; temporal:
        when matches stand out."""
        self._config, self._points, self._count, self._verifier = config, points, count, verifier
        self._temporal = temporal or TemporalConfig()
        self._steps: deque[int] = deque(maxlen=STEPS)
        self._pending: deque[View] = deque()  # announced with the first of their best
        self._agreed: deque[View] = deque(maxlen=config.pending)  # with the one closed candidate
        self._links: dict[int, set[int]] = defaultdict(set)  # rows that show one place
        self._budget = Budget(config.verifications_per_s, SAVED_S)
        self._last_look: tuple[View, bool] | None = None  # of geometry, and whether it agreed
        self.verified: list[tuple[int, int]] = []  # rows

    def observe_step(self, matches: int) -> None:
        """Matches of two consecutive keyframes."""
        self._steps.append(matches)

    def relink(self, links: Mapping[int, Collection[int]]) -> None:
        """Row -> rows that show one place with it; those known so far are forgotten."""
        self._links = defaultdict(set, {row: {*others} for row, others in links.items()})

    @property
    def step_matches(self) -> float | None:
        """What consecutive keyframes match like lately; None before there were two."""
        return float(np.median(self._steps)) if self._steps else None

    def reset(self) -> None:
        """Nothing leads from the views so far to the next ones."""
        self._pending.clear()
        self._agreed.clear()
        self._last_look = None

    def step(self, view: View, belief: Belief | None) -> list[LoopClosure]:
        """The closures that this keyframe suggests, confirms or refutes."""
        self._budget.earn(view.point.elapsed_s)
        view = replace(view, best=self._standing_out(view))
        closed = None if belief is None else self._closed_candidate(view, belief)
        closures = []
        if closed is not None:
            closures += [*self._resolve(view, closed), *self._verify(view, closed, False)]
            self._agreed.append(replace(view, best=(closed,)))
        elif view.best:
            closures.append(self._wait(view, view.best[0], 'the next keyframes decide'))
        return [*closures, *self._expire(view.row)]

    def _standing_out(self, view: View) -> tuple[Candidate, ...]:
        """The few that speak for a place: their matches stand out of the frame's own rivals."""
        least = self._config.min_evidence
        candidates = zip(view.ranked.candidates, self._evidence(view), strict=True)
        return tuple([c for c, evidence in candidates if evidence >= least][:KEPT])

    def _evidence(self, view: View) -> np.ndarray:
        """(k,) of the candidates of a view, nat."""
        candidates = view.ranked.candidates
        return by_matches(candidates, self._temporal) if candidates else np.empty(0)

    def _closed_candidate(self, view: View, belief: Belief) -> Candidate | None:
        """The candidate that sequence and motion are certain of."""
        if belief.mass < self._config.min_belief or belief.evidence <= 0:
            return None
        closed = next((c for c in view.best if c.row in belief.rows), None)
        if closed is None or not self._is_strong(view, closed):
            return None
        fitting = [self._agreeing(v, view, closed) for v in self._recent(view.row)]
        agreed = [candidate for candidate in fitting if candidate is not None]
        if len(agreed) + 1 < self._config.min_support:
            return None
        strength = np.mean([self._strength(view, c) for c in (*agreed, closed)])
        return closed if strength >= self._config.min_strength else None

    def _recent(self, row: int) -> Iterator[View]:
        views = {view.row: view for view in (*self._pending, *self._agreed)}
        yield from (v for v in views.values() if row - v.row <= self._config.pending)

    def _strength(self, view: View, candidate: Candidate) -> float:
        """Matches over those of consecutive keyframes; 1 for another run, in another light."""
        usual = self.step_matches
        if candidate.place.session != view.place.session or usual is None:
            return 1.0
        return candidate.mutual_matches / max(usual, 1.0)

    def _is_strong(self, view: View, candidate: Candidate) -> bool:
        return self._strength(view, candidate) >= self._config.least_strength

    def _agreeing(self, earlier: View, later: View, closed: Candidate) -> Candidate | None:
        """The candidate of `earlier` that fits `later` being at `closed`.

        Of several down one street that fit, those count that fit the motion clearly best, and of
        these the one that matches best: a look-alike some metres on may match better.
        """
        off = [
            (self._off_m(earlier, candidate, later, closed), candidate)
            for candidate in earlier.best
            if self._is_strong(earlier, candidate)
        ]
        least = min((metres for metres, _ in off), default=math.inf)
        if math.isinf(least):
            return None
        clear = self._config.agree_m / 3
        return next(candidate for metres, candidate in off if metres <= least + clear)

    def _off_m(self, a: View, to_a: Candidate, b: View, to_b: Candidate) -> float:
        """How far the way between two views is from the way between the places they show, m; inf
        where that is too far."""
        if a.point.segment != b.point.segment:
            return math.inf
        rows = {to_b.row, *self._links[to_b.row]}
        return min(self._way_off_m((a.point, b.point), to_a.row, row) for row in rows)

    def _way_off_m(self, driven: tuple[TrackPoint, TrackPoint], row_a: int, row_b: int) -> float:
        """The same for the way between two rows of the map and the way that was driven."""
        mapped = self._points[row_a], self._points[row_b]
        if mapped[0].segment != mapped[1].segment:
            return math.inf
        error, length = motion_error_m(driven, mapped)
        blind = any(point.blind for point in (*driven, *mapped))
        ratio = self._config.agree_blind_ratio if blind else self._config.agree_ratio
        return error if error <= self._config.agree_m + ratio * length else math.inf

    def _resolve(self, later: View, closed: Candidate) -> Iterator[LoopClosure]:
        """Verdicts on what is pending, now that the place of a later keyframe is known."""
        waiting, self._pending = self._pending, deque()
        for view in waiting:
            announced, candidate = view.best[0], self._agreeing(view, later, closed)
            if candidate is not announced:  # who was told of that pair waits for its verdict
                why = f'leads elsewhere than keyframe {later.place.id} at {closed.place.id}'
                yield closure(ClosureKind.REJECTED, announced, view.place, why, Reject.TEMPORAL)
            if candidate is not None:
                self._agreed.append(replace(view, best=(candidate,)))
                yield from self._verify(view, candidate, candidate is announced)

    def _verify(self, view: View, candidate: Candidate, announced: bool) -> Iterator[LoopClosure]:
        """The verdict of geometry, as far as there is a camera and a budget for it.

        announced: whether this pair was announced as a candidate before.
        """
        if not self._was_left(view, candidate):
            never = 'it has stayed in view since'
            yield closure(ClosureKind.REJECTED, candidate, view.place, never, Reject.TEMPORAL)
            return
        geometry, vouching = None, self._vouching(view)
        if self._verifier is not None and self._may_look:
            if self._budget.is_there:
                geometry, vouching = self._look(self._verifier, view, candidate), None
            elif vouching is None:
                waiting = self._wait(view, candidate, 'no verifications left now')
                yield from () if announced else (waiting,)
                return
        yield self._judged(view, candidate, geometry, vouching)

    @property
    def _may_look(self) -> bool:
        return self._config.verify != 'never' and self._config.verifications_per_s > 0

    def _judged(
        self, view: View, candidate: Candidate, geometry: Geometry | None, vouching: View | None
    ) -> LoopClosure:
        """geometry: None where it did not look; vouching: the keyframe whose look holds for it."""
        if geometry is None and vouching is None and self._config.verify == 'always':
            why = 'no calibrated camera' if self._may_look else 'slam.verifications_per_s is 0'
            return closure(ClosureKind.CANDIDATE, candidate, view.place, why)
        if geometry is not None and not geometry.agrees:
            why, reject = geometry.reason, Reject.GEOMETRY
            rejected = closure(ClosureKind.REJECTED, candidate, view.place, why, reject)
            return replace(rejected, inliers=geometry.inliers)
        return self._accept(view, candidate, geometry, vouching)

    def _look(self, verifier: Verifier, view: View, candidate: Candidate) -> Geometry | None:
        """Geometry's word, which costs; None, for nothing, where there is no camera."""
        rival = self._rival(view, candidate)
        geometry = verifier(before=candidate.row, after=view.row, rival=rival)
        if geometry is not None:
            self._budget.spend()
            self._last_look = view, geometry.agrees
        return geometry

    def _rival(self, view: View, candidate: Candidate) -> int | None:
        """The row that the keyframe matches best of those that surely show another place.

        They are distinct, not linked by a closure, and do not stand out, as a third visit would.
        """
        evidence = zip(view.ranked.candidates, self._evidence(view), strict=True)
        faint = {c.row for c, nat in evidence if nat < self._config.min_evidence}
        rows = faint - self._links[candidate.row]
        rivals = [c for c in view.ranked.rivals(candidate.row) if c.row in rows]
        return max(rivals, key=lambda c: c.mutual_matches).row if rivals else None

    def _vouching(self, view: View) -> View | None:
        """The keyframe looked at last, where its verdict holds for this one, too: keyframes that
        agree with each other and with the motion show one loop."""
        if self._last_look is None or not self._last_look[1]:
            return None
        last = self._last_look[0]
        near = abs(view.row - last.row) <= self._config.pending
        return last if near and view.point.segment == last.point.segment else None

    def _accept(
        self, view: View, candidate: Candidate, geometry: Geometry | None, vouching: View | None
    ) -> LoopClosure:
        self.verified.append((candidate.row, view.row))
        self._links[candidate.row].add(view.row)
        self._links[view.row].add(candidate.row)
        why = 'sequence and motion agree'
        if vouching is not None:
            why += f', and geometry for keyframe {vouching.place.id}'
        verified = closure(ClosureKind.VERIFIED, candidate, view.place, why)
        return verified if geometry is None else with_geometry(verified, geometry)

    def _was_left(self, view: View, candidate: Candidate) -> bool:
        """Whether the place went out of view in between: down a straight road it never does."""
        if self._points[candidate.row].segment != view.point.segment:
            return True
        config = self._config
        counts = {c.row: c.mutual_matches for c in view.ranked.candidates}
        low = config.left_ratio * candidate.mutual_matches
        last = max(counts)  # rows up to here were searched: what was not found is not in view
        gone = [counts.get(row, 0) < low for row in range(candidate.row + 1, last + 1)]
        few = max(1, config.left_keyframes)  # at a time: it may be a long way until now
        for start in range(last + 1, view.row, few):
            if longest_run(gone) >= config.left_keyframes:
                return True
            rows = range(start, min(start + few, view.row))
            gone = [*gone[-few:], *(n < low for n in self._count(view.row, rows))]
        return longest_run(gone) >= config.left_keyframes

    def _wait(self, view: View, candidate: Candidate, why: str) -> LoopClosure:
        """Announced; first of the view's best, so that it is what expires or is ruled out."""
        others = tuple(c for c in view.best if c.row != candidate.row)
        self._pending.append(replace(view, best=(candidate, *others)))
        return closure(ClosureKind.CANDIDATE, candidate, view.place, why)

    def _expire(self, row: int) -> Iterator[LoopClosure]:
        """Rejects what has waited for too many keyframes."""
        while self._pending and row - self._pending[0].row > self._config.pending:
            view = self._pending.popleft()
            why = f'not confirmed by the next {self._config.pending} keyframes'
            yield closure(ClosureKind.REJECTED, view.best[0], view.place, why, Reject.TEMPORAL)


def longest_run(flags: Iterable[bool]) -> int:
    """Length of the longest stretch of True."""
    return max((len(list(run)) for flag, run in groupby(flags) if flag), default=0)
