# SPDX-License-Identifier: MIT
"""What it costs the worker to publish one frame's answer, over DDS to a listener.

`python -m selavpr_ros.node.publish_benchmark` prints milliseconds as JSON; `selavpr benchmark`
runs it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import numpy as np
import rclpy
from rclpy.lifecycle import LifecycleNode
from selavpr.msg import PlaceHypotheses

from selavpr_model.records import Candidate, Place, Recognition, State
from selavpr_ros.config import NodeConfig
from selavpr_ros.convert import to_ros
from selavpr_ros.node import qos
from selavpr_ros.node.outputs import Outputs

CANDIDATES = 100
HEARD_S = 10.0


def answer(number: int) -> to_ros.Outcome:
    """LOCALIZED with a pose, as most frames of a robot that knows where it is."""
    pose, covariance = np.eye(4), np.eye(6)
    places = (
        Place(i, i, f'image_{i:06}.jpg', 'session', 'camera', pose) for i in range(CANDIDATES)
    )
    candidates = tuple(Candidate(place, place.id, 0.5, place.id, 100) for place in places)
    recognition = Recognition(
        number * 10**8, State.LOCALIZED, candidates, 'agrees', pose, covariance, State.LOCALIZED
    )
    return to_ros.Outcome(recognition, number, 'camera', 'map', 1, covariance)


def measure(rounds: int) -> list[float]:
    """Milliseconds of each answer, messages made and sent; the first ones are not counted."""
    name = f'benchmark_{os.getpid()}'
    heard: list[PlaceHypotheses] = []
    node, ear = LifecycleNode(name), rclpy.create_node(f'{name}_ear')
    ear.create_subscription(PlaceHypotheses, f'/{name}/hypotheses', heard.append, qos.reliable(10))
    outputs = Outputs(node, lambda said: None)
    outputs.open()
    node.trigger_configure()
    node.trigger_activate()
    body = to_ros.Body('map', 'base_link', np.eye(4))
    _until_heard(outputs, ear, heard, body)
    taken = []
    for number in range(rounds):
        outcome, start = answer(number), time.perf_counter()
        outputs.recognition(outcome, body, NodeConfig().hypotheses)
        taken.append((time.perf_counter() - start) * 1e3)
        rclpy.spin_once(ear, timeout_sec=0.1)
    return taken


def _until_heard(outputs: Outputs, ear: Any, heard: list[Any], body: to_ros.Body) -> None:
    end = time.monotonic() + HEARD_S
    while not heard and time.monotonic() < end:
        outputs.recognition(answer(0), body, 1)
        rclpy.spin_once(ear, timeout_sec=0.1)
    if not heard:
        raise SystemExit('nothing arrived over DDS')


def main() -> None:
    rclpy.init()
    try:
        sys.stdout.write(json.dumps(measure(int(sys.argv[1]))) + '\n')
    finally:
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
