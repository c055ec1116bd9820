# SPDX-License-Identifier: MIT
"""From ranked candidates to LOST, AMBIGUOUS or LOCALIZED: the one chain of decisions.

confidence of each candidate -> verdict of the frame alone -> belief over the places -> confidence
over time -> verdict of the sequence. The recogniser and SLAM both call it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from selavpr_model.decision.belief import Belief, Moment, TemporalBelief
from selavpr_model.decision.confidence import Confidence, over_time, with_confidence
from selavpr_model.decision.follow import follow
from selavpr_model.decision.judge import judge, Verdict
from selavpr_model.decision.ranking import Ranked
from selavpr_model.decision.thresholds import Thresholds
from selavpr_model.records import Recognition, State


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """answer: without a pose. ranked: the candidates in re-ranked order, with the confidence that
    the sequence gives. belief: None where the frame was decided alone."""

    answer: Recognition
    ranked: Ranked
    belief: Belief | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Decider:
    """What decides on frames. belief: None where each frame stands alone; min_precision:
    least probability of being right that makes the robot LOCALIZED."""

    belief: TemporalBelief | None
    min_precision: float

    def decide(
        self,
        moment: Moment,
        ranked: Ranked,
        confidence: Confidence | None,
        needed: Thresholds | None,
        undecidable: str,
    ) -> Decision:
        """The decision on one frame; moves the belief on.

        confidence: the model for these candidates, where there is one; needed: what the frame
        needs by itself, None: it decides nothing by itself; undecidable: the reason that is given
        where nothing can decide.
        """
        if not ranked.candidates or (needed is None and self.belief is None):
            lost = Recognition(moment.stamp_ns, State.LOST, ranked.candidates, undecidable)
            return Decision(lost, ranked)
        if confidence is not None:
            ranked = with_confidence(ranked, confidence)
        alone = Verdict(ranked, State.LOST, undecidable)
        if needed is not None:
            alone = judge(ranked, needed)
        answer = Recognition(
            moment.stamp_ns, alone.state, alone.ranked.candidates, alone.reason,
            alone=alone.state, alone_confidence=ranked.candidates[0].confidence,
        )  # fmt: skip
        if self.belief is None:
            return Decision(answer, alone.ranked)
        return self._over_time(self.belief, moment, answer, alone.ranked, confidence)

    def _over_time(
        self, belief: TemporalBelief, moment: Moment, alone: Recognition, ranked: Ranked,
        confidence: Confidence | None,
    ) -> Decision:  # fmt: skip
        """What the sequence makes of what its last frame says alone."""
        after = belief.update(moment, ranked.candidates)
        timed = ranked
        if confidence is not None:
            timed = over_time(ranked, after.mode.share, belief.mass_of, confidence)
        candidates, state, reason = follow(timed, ranked, after, confidence, self.min_precision)
        answer = replace(alone, candidates=candidates, state=state, reason=reason)
        return Decision(answer, timed, after)
