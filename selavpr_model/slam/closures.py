# SPDX-License-Identifier: MIT
"""Which look-alikes of a growing map are loop closures: sequence, motion, then geometry."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from selavpr_model.config import RecognizerConfig, SlamConfig, TemporalConfig
from selavpr_model.decision.belief import Belief, evidence_of
from selavpr_model.decision.distinct import are_distinct
from selavpr_model.records import Candidate, ClosureKind, LoopClosure, Reject
from selavpr_model.runtime.budget import Budget
from selavpr_model.slam.records import closure, Geometry, Verifier, View, with_geometry
from selavpr_model.slam.trail import motion_error_m, Spot

KEPT = 3  # candidates of a keyframe that may turn out to be its loop
STEPS = 20  # consecutive keyframes that say how many matches neighbours have
# Loops are rare and short: a robot meets its old way again for seconds, after minutes without a
# question. Looks saved up make some of these closures metric; a keyframe waits for one at most.
SAVED_S = 10.0


class ClosureJudge:
    """A verdict for each keyframe that looks like an earlier one: VERIFIED or REJECTED, with
    CANDIDATE before it where the following keyframes have to decide. Where these show that it is
    another place that it looks like, the pair announced is REJECTED and the other has its own.
    """

    def __init__(
        self,
        config: SlamConfig,
        spots: Sequence[Spot],
        count: Callable[[int, Sequence[int]], Iterable[int]],
        verifier: Verifier | None = None,
        recognizer: RecognizerConfig | None = None,
    ) -> None:
        """spots: of each row of the map, may grow; count: matches of a row with rows;
        recognizer: says which places are distinct."""
        self._config, self._spots, self._count, self._verifier = config, spots, count, verifier
        self._recognizer = recognizer or RecognizerConfig()
        self._steps: deque[int] = deque(maxlen=STEPS)
        self._pending: deque[View] = deque()  # announced with the first of their best
        self._agreed: deque[View] = deque(maxlen=config.pending)  # with the one closed candidate
        self._links: dict[int, set[int]] = defaultdict(set)  # rows that show one place
        self._budget = Budget(config.verifications_per_s, SAVED_S)
        self._looked: tuple[View, bool] | None = None  # the last look of geometry: agreed?
        self.verified: list[tuple[int, int]] = []  # rows

    def observe_step(self, matches: int) -> None:
        """Matches of two consecutive keyframes."""
        self._steps.append(matches)

    @property
    def step_matches(self) -> float | None:
        """What consecutive keyframes match like lately; None before there were two."""
        return float(np.median(self._steps)) if self._steps else None

    def reset(self) -> None:
        """Nothing leads from the views so far to the next ones."""
        self._pending.clear()
        self._agreed.clear()
        self._looked = None

    def step(
        self, view: View, belief: Belief | None, temporal: TemporalConfig
    ) -> list[LoopClosure]:
        """The closures that this keyframe suggests, confirms or refutes."""
        self._budget.earn(view.spot.elapsed_s)
        seen = replace(
            view, best=tuple(standing_out(view.candidates, temporal, self._config.min_evidence))
        )
        sure = None if belief is None else self._sure(seen, belief)
        made = []
        if sure is not None:
            made += [*self._resolve(seen, sure), *self._verify(seen, sure, announced=False)]
            self._agreed.append(replace(seen, best=(sure,)))
        elif seen.best:
            made.append(self._wait(seen, seen.best[0], 'the next keyframes decide'))
        return [*made, *self._expire(view.row)]

    def _sure(self, seen: View, belief: Belief) -> Candidate | None:
        """The candidate that sequence and motion are sure of."""
        if belief.mass < self._config.min_belief or belief.evidence <= 0:
            return None
        found = next((c for c in seen.best if c.row in belief.rows), None)
        if found is None or not self._is_strong(seen, found):
            return None
        fitting = [self._agreeing(v, seen, found) for v in self._recent(seen.row)]
        agreed = [candidate for candidate in fitting if candidate is not None]
        if len(agreed) + 1 < self._config.min_support:
            return None
        strength = np.mean([self._strength(seen, c) for c in (*agreed, found)])
        return found if strength >= self._config.min_strength else None

    def _recent(self, row: int) -> Iterator[View]:
        views = {view.row: view for view in (*self._pending, *self._agreed)}
        yield from (v for v in views.values() if row - v.row <= self._config.pending)

    def _strength(self, seen: View, candidate: Candidate) -> float:
        """Matches over those of consecutive keyframes; 1 for another run, in another light."""
        usual = self.step_matches
        if candidate.place.session != seen.place.session or usual is None:
            return 1.0
        return candidate.mutual_matches / usual

    def _is_strong(self, seen: View, candidate: Candidate) -> bool:
        return self._strength(seen, candidate) >= self._config.least_strength

    def _agreeing(self, earlier: View, later: View, closed: Candidate) -> Candidate | None:
        """The candidate of `earlier` that fits `later` being at `closed`."""
        for candidate in earlier.best:
            if self._fits(earlier, candidate, later, closed) and self._is_strong(
                earlier, candidate
            ):
                return candidate
        return None

    def _fits(self, a: View, to_a: Candidate, b: View, to_b: Candidate) -> bool:
        """Whether the way between two views is the way between the places they show."""
        if a.spot.leg != b.spot.leg:
            return False
        shown = {to_b.row, *self._links[to_b.row]}
        return any(self._as_far((a.spot, b.spot), to_a.row, row) for row in shown)

    def _as_far(self, driven: tuple[Spot, Spot], row_a: int, row_b: int) -> bool:
        mapped = self._spots[row_a], self._spots[row_b]
        if mapped[0].leg != mapped[1].leg:
            return False
        error, length = motion_error_m(driven, mapped)
        blind = any(spot.blind for spot in (*driven, *mapped))
        ratio = self._config.agree_blind_ratio if blind else self._config.agree_ratio
        return error <= self._config.agree_m + ratio * length

    def _resolve(self, sure_view: View, sure: Candidate) -> Iterator[LoopClosure]:
        """Verdicts on what is pending, now that one keyframe's place is known."""
        waiting, self._pending = self._pending, deque()
        for view in waiting:
            told, candidate = view.best[0], self._agreeing(view, sure_view, sure)
            if candidate is not told:  # whoever heard of that pair is waiting for its verdict
                why = f'leads elsewhere than keyframe {sure_view.place.id} at {sure.place.id}'
                yield closure(ClosureKind.REJECTED, told, view.place, why, Reject.TEMPORAL)
            if candidate is not None:
                self._agreed.append(replace(view, best=(candidate,)))
                yield from self._verify(view, candidate, announced=candidate is told)

    def _verify(self, view: View, candidate: Candidate, announced: bool) -> Iterator[LoopClosure]:
        """Geometry, as far as there is a camera and a budget for it."""
        if not self._was_left(view, candidate):
            never = 'it has stayed in view since'
            yield closure(ClosureKind.REJECTED, candidate, view.place, never, Reject.TEMPORAL)
            return
        geometry, vouching = None, self._vouching(view)
        may_look = self._config.verify != 'never' and self._config.verifications_per_s > 0
        if self._verifier is not None and may_look:
            if self._budget.is_there:
                geometry, vouching = self._look(self._verifier, view, candidate), None
            elif vouching is None:
                waiting = self._wait(view, candidate, 'no verifications left now')
                yield from () if announced else (waiting,)
                return
        if geometry is None and vouching is None and self._config.verify == 'always':
            why = 'no calibrated camera' if may_look else 'slam.verifications_per_s is 0'
            yield closure(ClosureKind.CANDIDATE, candidate, view.place, why)
        elif geometry is not None and not geometry.agrees:
            made = closure(
                ClosureKind.REJECTED, candidate, view.place, geometry.reason, Reject.GEOMETRY
            )
            yield replace(made, inliers=geometry.inliers)
        else:
            yield self._accept(view, candidate, geometry, vouching)

    def _look(self, verifier: Verifier, view: View, candidate: Candidate) -> Geometry | None:
        """Geometry's word, which costs; None, for nothing, where there is no camera."""
        geometry = verifier(candidate.row, view.row, self._rival(view, candidate))
        if geometry is not None:
            self._budget.spend()
            self._looked = view, geometry.agrees
        return geometry

    def _rival(self, view: View, candidate: Candidate) -> int | None:
        """What the keyframe matches best of all that is surely another place: distinct, not known
        to show the same, and not standing out, as a third visit would."""
        gains = evidence_of([c.independent_matches for c in view.candidates], TemporalConfig())
        known = self._links[candidate.row]
        others = [
            c
            for c, gain in zip(view.candidates, gains, strict=True)
            if gain < self._config.min_evidence
            and c.row not in known
            and are_distinct(candidate.place, c.place, self._recognizer)
        ]
        return max(others, key=lambda c: c.mutual_matches).row if others else None

    def _vouching(self, view: View) -> View | None:
        """The keyframe looked at last, where its verdict holds for this one, too: keyframes that
        agree with each other and with the motion show one loop."""
        if self._looked is None or not self._looked[1]:
            return None
        last = self._looked[0]
        near = abs(view.row - last.row) <= self._config.pending
        return last if near and view.spot.leg == last.spot.leg else None

    def _accept(
        self, view: View, candidate: Candidate, geometry: Geometry | None, vouching: View | None
    ) -> LoopClosure:
        self.verified.append((candidate.row, view.row))
        self._links[candidate.row].add(view.row)
        self._links[view.row].add(candidate.row)
        why = 'sequence and motion agree'
        if vouching is not None:
            why += f', and geometry for keyframe {vouching.place.id}'
        made = closure(ClosureKind.VERIFIED, candidate, view.place, why)
        return made if geometry is None else with_geometry(made, geometry)

    def _was_left(self, view: View, candidate: Candidate) -> bool:
        """Whether the place went out of view in between: down a straight road it never does."""
        if self._spots[candidate.row].leg != view.spot.leg:
            return True
        config = self._config
        between = range(candidate.row + 1, view.row)
        counts = {c.row: c.mutual_matches for c in view.candidates}
        low = config.left_ratio * candidate.mutual_matches
        known = max(counts)  # rows up to here were searched: what was not found is not in view
        searched = [row for row in between if row <= known]
        if longest_run([counts.get(row, 0) < low for row in searched]) >= config.left_keyframes:
            return True
        recent = [row for row in between if row > known]
        seen = [counts.get(row, 0) for row in searched] + list(self._count(view.row, recent))
        return longest_run([n < low for n in seen]) >= config.left_keyframes

    def _wait(self, view: View, candidate: Candidate, why: str) -> LoopClosure:
        """Announced; first of the view's best, so that it is what expires or is ruled out."""
        others = tuple(c for c in view.best if c.row != candidate.row)
        self._pending.append(replace(view, best=(candidate, *others)))
        return closure(ClosureKind.CANDIDATE, candidate, view.place, why)

    def _expire(self, row: int) -> Iterator[LoopClosure]:
        while self._pending and row - self._pending[0].row > self._config.pending:
            view = self._pending.popleft()
            why = f'not confirmed by the next {self._config.pending} keyframes'
            yield closure(ClosureKind.REJECTED, view.best[0], view.place, why, Reject.TEMPORAL)


def longest_run(flags: Iterable[bool]) -> int:
    """Length of the longest stretch of True."""
    return max((len(list(run)) for flag, run in groupby(flags) if flag), default=0)


def standing_out(
    candidates: Sequence[Candidate], temporal: TemporalConfig, least: float
) -> list[Candidate]:
    """The few that speak for a place: their matches stand out of the frame's own rivals."""
    if not candidates:
        return []
    gains = evidence_of([c.independent_matches for c in candidates], temporal)
    return [c for c, gain in zip(candidates, gains, strict=True) if gain >= least][:KEPT]
