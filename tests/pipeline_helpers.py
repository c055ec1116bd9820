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
from selavpr_ros.node.pipeline.request import Request
from selavpr_ros.node.pipeline.states import Answer, Asset, Empty, Mapping, Problem

FRAMES = 4
Drive = Callable[[Request], Pipeline]


def slam_in(path: Path, extractor: Any) -> Request:
    """SLAM in a new map."""
    return Request(
        extractor.config, str(path), RecognizerConfig(), TemporalConfig(),
        SlamConfig(session='drive'),
    )  # fmt: skip


def pipeline_with(extractor: Any) -> Pipeline:
    """A pipeline whose model is loaded already."""
    pipeline = Pipeline()
    pipeline.state = Empty(Problem(Asset.MAP, 'not loaded yet'), extractor)
    return pipeline


def map_problem(pipeline: Pipeline) -> str:
    """What is wrong with the map; fails where nothing is."""
    problem = pipeline.problem(Asset.MAP)
    assert problem is not None, pipeline.state
    return problem


def driver(extractor: Any, street: list[Frame]) -> Drive:
    """Makes a pipeline after a few frames in SLAM."""

    def drive(request: Request) -> Pipeline:
        pipeline = pipeline_with(extractor)
        pipeline.load(request)
        assert isinstance(pipeline.state, Mapping), pipeline.state
        for second, frame in enumerate(street[:FRAMES], 1_700_000_000):
            pipeline.process(Frame(second * 10**9, frame.image, 'camera'))
        assert pipeline.state.slam.added == FRAMES
        return pipeline

    return drive


def drive_on(pipeline: Pipeline, frames: list[Frame]) -> list[Answer]:
    """With odometry that starts at its own origin."""
    answers = []
    for i, frame in enumerate(frames):
        odom = np.eye(4)
        odom[2, 3] = 30.0 * i
        stamp_ns = (1_800_000_000 + 30 * i) * 10**9
        answers.append(pipeline.process(Frame(stamp_ns, frame.image, 'camera', odom=odom)))
    return answers


def sessions(path: str | Path) -> list[str]:
    return [place.session for place in open_map(path).places]
