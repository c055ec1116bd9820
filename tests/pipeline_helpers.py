# SPDX-License-Identifier: MIT
"""A pipeline that drives in SLAM, for the tests of loading and of growing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.config import RecognizerConfig, SlamConfig, TemporalConfig
from selavpr_model.maps.storage.store import open_map
from selavpr_model.records import Frame
from selavpr_ros.node.pipeline.pipeline import Pipeline
from selavpr_ros.node.pipeline.request import Wanted

FRAMES = 4
Drive = Callable[[Wanted], Pipeline]


def slam_in(path: Path, extractor: Any) -> Wanted:
    """SLAM in a new map."""
    return Wanted(
        extractor.config, str(path), RecognizerConfig(), TemporalConfig(),
        SlamConfig(session='drive'),
    )  # fmt: skip


def driver(extractor: Any, street: list[Frame]) -> Drive:
    """Makes a pipeline after a few frames in SLAM."""

    def drive(wanted: Wanted) -> Pipeline:
        pipeline = Pipeline()
        pipeline.extractor = extractor  # loaded already
        pipeline.load(wanted)
        assert pipeline.slam is not None, pipeline.map_problem
        for second, frame in enumerate(street[:FRAMES], 1_700_000_000):
            pipeline.process(Frame(second * 10**9, frame.image, 'camera'))
        assert pipeline.slam.added == FRAMES
        return pipeline

    return drive


def drive_on(pipeline: Pipeline, frames: list[Frame]) -> None:
    """With odometry that starts at its own origin."""
    for i, frame in enumerate(frames):
        odom = np.eye(4)
        odom[2, 3] = 30.0 * i
        pipeline.process(Frame((1_800_000_000 + 30 * i) * 10**9, frame.image, 'camera', odom=odom))


def sessions(path: str | Path) -> list[str]:
    return [place.session for place in open_map(path).places]
