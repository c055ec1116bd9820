# SPDX-License-Identifier: MIT
"""What is asked of a replay: a recording, a map, and every setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.config import (
    Config,
    ExtractorConfig,
    GeometryConfig,
    RecognizerConfig,
    ReplayConfig,
    ScoreConfig,
    TemporalConfig,
)
from selavpr_model.errors import ConfigError
from selavpr_ros.bags.files import is_bag
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.recordings import open_recording, Recording
from selavpr_ros.bags.topics import NO_POSE
from selavpr_ros.replay.answers import LiveRun

Play = Callable[[BagFrames, Path, Mapping[str, Config], ReplayConfig, Path], LiveRun]


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What to replay. truth: topic or file of true poses; base_camera: (4, 4), None: from a bag.

    play: replay.live.play, to run the live node on the same bag, too; it alone needs ROS.
    keep_up: where this machine needs longer for a frame than the bag has, play image by image.
    rerun: .rrd file for the rerun viewer.
    """

    source: Path
    map: Path
    out: Path
    truth: str = NO_POSE
    image_topic: str = ''
    base_camera: np.ndarray | None = None
    play: Play | None = None
    keep_up: bool = False
    rerun: Path | None = None
    extractor: ExtractorConfig = field(default_factory=ExtractorConfig)
    recognizer: RecognizerConfig = field(default_factory=RecognizerConfig)
    temporal: TemporalConfig = field(default_factory=TemporalConfig)
    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)

    def __post_init__(self) -> None:
        if self.play is not None and not is_bag(self.source):
            raise ConfigError(
                f'--live: expected a bag, which can be played to the node, got {self.source}; '
                'replay it without --live'
            )

    def frames(self) -> Recording:
        return open_recording(
            self.source, self.truth, self.image_topic, self.base_camera, self.replay
        )

    def configs(self) -> dict[str, Any]:
        groups = ('extractor', 'recognizer', 'temporal', 'geometry', 'score', 'replay')
        return {
            'source': str(self.source), 'map': str(self.map), 'truth': self.truth,
            'image_topic': self.image_topic, 'live': self.play is not None,
            **{name: getattr(self, name).to_dict() for name in groups},
        }  # fmt: skip
