# SPDX-License-Identifier: MIT
"""The mode UPDATE through the real node: the looks of a drive are in the map when it ends."""

from pathlib import Path
import shutil

import pytest
from robot import Robot
from selavpr.srv import SetMode

from selavpr_model.maps.storage.store import open_map

pytestmark = pytest.mark.usefixtures('ros')
FRAMES = 16


def test_the_looks_of_a_drive_are_saved_and_localised_in(summer_map, evening, tmp_path):
    path = Path(shutil.copytree(summer_map, tmp_path / 'map'))
    before = len(open_map(path))
    with Robot(map=str(path), extractor__precision='fp32', update__session='evening',
               update__novelty=0.05) as robot:  # fmt: skip
        robot.until_active()
        camera = robot.camera()
        answer = robot.call('set_mode', mode=SetMode.Request.UPDATE)
        assert answer.accepted and answer.message == 'in mode UPDATE'
        assert robot.status().mode == SetMode.Request.UPDATE
        for frame in evening[:FRAMES]:
            robot.ask(camera, robot.picture(frame.image, frame.stamp_ns))
        assert len(open_map(path)) == before, 'saved only when the mode ends'
        assert robot.call('set_mode', mode=SetMode.Request.LOCALIZE).accepted
        after = open_map(path)
        assert {place.session for place in after.places} == {'summer', 'evening'}
        robot.until(lambda: robot.heard['map_info'][-1].num_places == len(after), 'new map')
    assert len(after) >= before + 2


def test_without_a_map_the_mode_is_refused_with_the_reason(ros):
    with Robot() as robot:
        robot.until_active()
        answer = robot.call('set_mode', mode=SetMode.Request.UPDATE)
        assert not answer.accepted and 'no map is given' in answer.message
