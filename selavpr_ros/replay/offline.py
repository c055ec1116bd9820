# SPDX-License-Identifier: MIT
"""A recording against a map: every frame answered in order, scored, and written as files.

predictions.csv depends on nothing but recording, map, model and configuration; what changes from
run to run (timings, host) is in summary.json.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
import logging
import os
import platform
from typing import Any

import numpy as np
import torch

from selavpr_model.config import Config, ReplayConfig, ScoreConfig
from selavpr_model.data.standstill import watched
from selavpr_model.decision.thresholds import thresholds
from selavpr_model.evaluation.export.rerun_file import RerunFile
from selavpr_model.evaluation.export.trajectory import answered, write_tum
from selavpr_model.evaluation.predictions import agreement, from_recognition, Prediction, write_csv
from selavpr_model.evaluation.report.examples import choose, draw_examples
from selavpr_model.evaluation.report.report import Report, write_report
from selavpr_model.evaluation.scoring import count_closures, Judge, latency_ms, Score, summarise
from selavpr_model.features.extractor import Extractor, load_extractor
from selavpr_model.maps.building.builder import numbered
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map
from selavpr_model.recognizer import believe, PlaceRecognizer
from selavpr_model.records import Frame, State
from selavpr_model.runtime.outputs import write_json
from selavpr_model.runtime.progress import progress_bar
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.recordings import Recording
from selavpr_ros.config import NodeConfig
from selavpr_ros.replay.recorded import Watch, watch_answers
from selavpr_ros.replay.request import Request

log = logging.getLogger(__name__)
HEADROOM = 0.7  # share of the time between two images that a frame may take


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """What a deterministic replay gave; timings_ns: stage -> ns of each frame."""

    predictions: list[Prediction]
    timings_ns: list[dict[str, int]]
    dropped: Mapping[str, int]

    @property
    def closures(self) -> list[tuple[int, int]]:
        """(stamp_ns, place id) of what the node publishes as loop closures."""
        localized = (p for p in self.predictions if p.state == State.LOCALIZED)
        return [(p.stamp_ns, p.place_ids[0]) for p in localized]


def answer(
    frames: Recording,
    recognizer: PlaceRecognizer,
    only: Container[int] | None = None,
    watch: Watch | None = None,
) -> Replayed:
    """Recognise every frame of a recording, in order; `only`: those with these stamps.

    watch: called with each frame and its answer.
    """
    predictions, timings = [], []
    recognizer.reset()
    for frame in watched(read(frames), frames.path, 'odom'):
        if only is not None and frame.stamp_ns not in only:
            continue
        recognition = recognizer.process(frame)
        if watch is not None:
            watch(frame, recognition)
        predictions.append(from_recognition(recognition, frames.base_camera))
        timings.append(recognition.timings_ns)
    return Replayed(predictions, timings, Counter(frames.dropped))


def read(frames: Recording) -> Iterator[Frame]:
    """Its frames; an image of a folder that cannot be read is counted and left out."""
    total, each = len(frames) or None, numbered(frames, 0)
    for index, frame in progress_bar(each, 'replay', unit='frame', total=total, leave=False):
        if isinstance(frame, Frame):
            yield frame
        else:
            log.warning('%s, image %d left out: %s', frames.path, index, frame)
            frames.dropped['undecodable'] += 1


def run(request: Request) -> dict[str, Any]:
    """Replay, score and write everything into `request.out`; returns the summary."""
    extractor = load_extractor(request.extractor)
    place_map = open_map(request.map, extractor.identity)
    return run_with(request, extractor, place_map)


def run_with(request: Request, extractor: Extractor, place_map: PlaceMap) -> dict[str, Any]:
    """`run` with a loaded model and map."""
    frames = request.frames()
    request.out.mkdir(parents=True, exist_ok=True)
    recognizer = PlaceRecognizer(
        extractor, place_map, request.recognizer, request.temporal, request.geometry
    )
    answers = _recorded_answer(request, frames, recognizer)
    scoring = Scoring(frames, place_map, request.score)
    scores = scoring.scores(answers.predictions)
    summary = scoring.summary(scores, answers.dropped, answers.closures)
    latency = latency_ms(answers.timings_ns)
    write_csv(request.out / 'predictions.csv', answers.predictions)
    write_tum(request.out / 'trajectory.txt', answered(answers.predictions))
    if request.play is not None and isinstance(frames, BagFrames):
        configs, pace = live_configs(request, extractor), _pace(request, scoring, latency)
        live = request.play(frames, request.map, configs, pace, request.out)
        write_csv(request.out / 'predictions_live.csv', live.predictions)
        scores, replayed = scoring.scores(explained(live.predictions, answers)), summary
        summary = scoring.summary(scores, live.dropped, live.closures)
        if len(live.predictions) < len(answers.predictions):
            # an answer depends on the frames before it: compare with a replay of the same frames
            answers = answer(frames, recognizer, {p.stamp_ns for p in live.predictions})
        summary['live_agreement'] = agreement(answers.predictions, live.predictions)
        summary['deterministic'] = replayed
        latency |= {f'live {k}': v for k, v in latency_ms(live.latencies_ns).items()}
    summary |= {'latency_ms': latency, **describe(extractor, place_map)}
    summary['source'] = f'{request.source}: {frames.report.words()}'
    write_json(request.out / 'summary.json', summary)
    write_json(request.out / 'config.json', request.configs())
    _write_report(request, extractor, place_map, scoring, scores, summary)
    return summary


def _recorded_answer(request: Request, frames: Recording, recognizer: PlaceRecognizer) -> Replayed:
    if request.rerun is None:
        return answer(frames, recognizer)
    with RerunFile(request.rerun, f'{request.source.name} in {request.map.name}') as recording:
        watch = watch_answers(recording, recognizer, frames.truth())
        return answer(frames, recognizer, watch=watch)


def explained(live: Sequence[Prediction], answers: Replayed) -> list[Prediction]:
    """With what the node's messages do not carry: the reason, and what a frame says alone."""
    reasons = {(p.stamp_ns, p.state): p.reason for p in answers.predictions}
    alone = {p.stamp_ns: p.alone_confidence for p in answers.predictions}
    return [
        replace(
            p,
            reason=reasons.get((p.stamp_ns, p.state), ''),
            alone_confidence=alone.get(p.stamp_ns),
        )
        for p in live
    ]


class Scoring:
    """True poses and the map, for judging any run of the same recording."""

    def __init__(self, frames: Recording, place_map: PlaceMap, config: ScoreConfig) -> None:
        self.truth = frames.truth()
        self.judge = Judge(place_map.places, frames.base_camera, config)

    def scores(self, predictions: Sequence[Prediction]) -> list[Score]:
        return [self.judge.score(p, self.truth.get(p.stamp_ns)) for p in predictions]

    def summary(
        self,
        scores: Sequence[Score],
        dropped: Mapping[str, int],
        closures: Sequence[tuple[int, int]],
    ) -> dict[str, Any]:
        counts = count_closures(closures, self.truth, self.judge)
        return {**summarise(scores, dropped), 'loop_closures': counts}


def _pace(request: Request, scoring: Scoring, latency: Mapping[str, Any]) -> ReplayConfig:
    rate, periods = request.replay.rate, np.diff(list(scoring.truth)) / 1e6
    if not request.keep_up or rate == 0 or not len(periods):
        return request.replay
    fast_enough = latency['total']['p95'] <= HEADROOM * float(np.median(periods)) / rate
    return request.replay if fast_enough else replace(request.replay, rate=0.0)


def live_configs(request: Request, extractor: Extractor) -> dict[str, Config]:
    """Prefix of the node's parameters -> configuration, with the arithmetic of this process.

    It is bound to the values measured here: measured again, another precision could be the faster.
    """
    chosen = replace(
        request.extractor, device=extractor.device, engine=extractor.engine,
        precision=extractor.precision, threads=torch.get_num_threads(),
    )  # fmt: skip
    return {
        '': node_config(request.recognizer.candidates),
        'extractor': chosen,
        'recognizer': request.recognizer,
        'temporal': request.temporal,
        'geometry': request.geometry,
    }


def node_config(hypotheses: int) -> NodeConfig:
    """As a user's node, but it publishes every candidate, so that recall can be counted.

    Images keep the stamps of the recording, so their age says nothing.
    """
    return NodeConfig(hypotheses=hypotheses, max_frame_age_s=0.0)


def describe(extractor: Extractor, place_map: PlaceMap) -> dict[str, Any]:
    """Model, map and machine of a result."""
    calibration = place_map.calibration
    return {
        'fingerprint': extractor.identity.fingerprint,
        'weights': extractor.identity.weights,
        'note': extractor.identity.note,
        'map': {
            'path': str(place_map.path),
            'map_id': place_map.map_id,
            'revision': place_map.revision,
            'places': len(place_map),
            'calibration': calibration and calibration.to_dict(),
        },
        'host': {
            'platform': platform.platform(),
            'python': platform.python_version(),
            'torch': torch.__version__,
            'cores': os.cpu_count(),
            'threads': torch.get_num_threads(),
            'device': extractor.device,
            'precision': extractor.precision,
        },
    }


def _write_report(
    request: Request,
    extractor: Extractor,
    place_map: PlaceMap,
    scoring: Scoring,
    scores: list[Score],
    summary: Mapping[str, Any],
) -> None:
    shown = (f for _, f in numbered(request.frames(), 0) if isinstance(f, Frame))
    report = Report(
        title=f'{request.source.stem} in {request.map.name}',
        summary=summary,
        scores=scores,
        truth=scoring.truth,
        places=place_map.places,
        # a belief over the sequence decides without thresholds on single frames
        needed=None
        if believe(place_map, request.recognizer, request.temporal)
        else thresholds(request.recognizer, place_map.calibration),
        examples=draw_examples(
            choose(scores), shown, extractor, place_map, request.recognizer.score
        ),
        config=request.configs(),
    )
    write_report(request.out / 'report.html', report)
