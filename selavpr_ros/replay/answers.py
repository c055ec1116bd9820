# SPDX-License-Identifier: MIT
"""What the node published, read back into predictions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from selavpr_model.evaluation.predictions import Prediction, short_confidence, short_float
from selavpr_model.poses import position_quaternion
from selavpr_model.records import Reject, State
from selavpr_ros.convert.from_ros import duration_s, pose_matrix, stamp_ns


def prediction(message: Any) -> Prediction:
    """PlaceHypotheses -> a row without pose and reason, which the message does not carry.

    Its order is that of the answer: the message does not say that of the frame alone.
    """
    hypotheses = message.hypotheses
    return Prediction(
        stamp_ns=stamp_ns(message),
        state=State(message.state),
        reject=Reject(hypotheses[0].reject_mask) if hypotheses else Reject.NONE,
        confidence=short_confidence(hypotheses[0].confidence) if hypotheses else None,
        place_ids=tuple(h.place_id for h in hypotheses),
        names=tuple(h.place_name for h in hypotheses),
        similarities=tuple(short_float(h.global_similarity) for h in hypotheses),
        global_ranks=tuple(h.global_rank for h in hypotheses),
        matches=tuple(h.num_matches for h in hypotheses),
        ranks=tuple(range(len(hypotheses))),
    )


@dataclass(frozen=True, slots=True, eq=False)
class LiveRun:
    """What came back. dropped: reason -> images without an answer; latencies_ns: per answer."""

    predictions: list[Prediction]
    closures: list[tuple[int, int]]
    dropped: dict[str, int]
    latencies_ns: list[dict[str, int]]


@dataclass
class NodeAnswers:
    """What arrived so far, by the stamp of the image; latencies in ns."""

    rows: dict[int, Prediction] = field(default_factory=dict)
    poses: dict[int, tuple[float, ...]] = field(default_factory=dict)
    closures: list[tuple[int, int]] = field(default_factory=list)
    latencies: list[dict[str, int]] = field(default_factory=list)
    status: Any = None

    def on_hypotheses(self, message: Any) -> None:
        row = prediction(message)
        self.rows[row.stamp_ns] = row
        self.latencies.append(
            {
                'queue': round(duration_s(message.queue_latency) * 1e9),
                'compute': round(duration_s(message.compute_latency) * 1e9),
            }
        )

    def on_pose(self, message: Any) -> None:
        self.poses[stamp_ns(message)] = position_quaternion(pose_matrix(message))

    def on_closure(self, message: Any) -> None:
        self.closures.append((stamp_ns(message.stamp_to), int(message.key_from)))

    def on_status(self, message: Any) -> None:
        self.status = message

    @property
    def active(self) -> bool:
        """Whether the node processes images and has a map; without one it stays active, too."""
        status = self.status
        return bool(status and status.lifecycle_state == status.ACTIVE and status.map_id)

    @property
    def dropped(self) -> dict[str, int]:
        """Reason -> images, as the node counts them."""
        if self.status is None:
            return {}
        return dict(zip(self.status.drop_reasons, map(int, self.status.drop_counts), strict=True))

    @property
    def complete(self) -> bool:
        """Whether every LOCALIZED answer also has its pose and its loop closure."""
        localized = {s for s, row in self.rows.items() if row.state == State.LOCALIZED}
        closed = {stamp for stamp, _ in self.closures}
        return localized <= self.poses.keys() and localized <= closed

    def predictions(self) -> list[Prediction]:
        """In the order of the stamps, poses filled in."""
        return [replace(self.rows[s], pose=self.poses.get(s)) for s in sorted(self.rows)]
