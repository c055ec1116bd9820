# SPDX-License-Identifier: MIT
"""What the place of a frame that is judged alone needs to be accepted."""

from __future__ import annotations

from dataclasses import dataclass

from selavpr_model.config import RecognizerConfig
from selavpr_model.decision.calibration import Calibration
from selavpr_model.records import Reject

BITS = (Reject.LOW_GLOBAL, Reject.LOW_LOCAL, Reject.AMBIGUOUS)  # of similarity, matches, ratio


@dataclass(frozen=True, slots=True)
class Thresholds:
    """See Calibration for how a map measures them.

    confidence: least probability of being right, which decides; None where the user has set all
    others, which decide then. Beside a confidence the others explain, but for those that the user
    has set: `required`, which must be met whatever the confidence.
    """

    similarity: float
    matches: int
    ratio: float
    confidence: float | None = None
    required: Reject = Reject.LOW_GLOBAL | Reject.LOW_LOCAL | Reject.AMBIGUOUS


def thresholds(config: RecognizerConfig, calibration: Calibration | None) -> Thresholds | None:
    """The configured values, and the map's own where none is set; None if neither is there."""
    similarity, matches, ratio = config.min_similarity, config.min_matches, config.min_match_ratio
    if similarity is not None and matches is not None and ratio is not None:
        return Thresholds(similarity, matches, ratio)
    if calibration is None:
        return None
    values = (similarity, matches, ratio)
    required = Reject(sum(bit for bit, v in zip(BITS, values, strict=True) if v is not None))
    return Thresholds(
        calibration.min_similarity if similarity is None else similarity,
        calibration.min_matches if matches is None else matches,
        calibration.min_match_ratio if ratio is None else ratio,
        config.min_precision,
        required,
    )
