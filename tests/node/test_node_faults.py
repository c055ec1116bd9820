# SPDX-License-Identifier: MIT
"""What is missing on a robot: the node stays up, says what, why and the cure, and recovers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rclpy.qos import qos_profile_sensor_data
from robot import Robot, until_dropped
from selavpr.msg import LocalizerStatus
from selavpr.srv import LoadMap
from sensor_msgs.msg import CompressedImage, Image

from selavpr_model.config import ExtractorConfig


def test_without_a_map_the_node_is_up_and_load_map_cures_it(
    ros: None, street_map: Path, street: Any
):
    with Robot() as robot:
        robot.until_active()
        status = robot.until_status('no map is given')
        assert status.level == LocalizerStatus.ERROR and '~/load_map' in status.message
        camera = robot.camera()
        until_dropped(robot, camera, robot.picture(street[0].image), 'no_map')
        assert not robot.heard['hypotheses']
        assert (
            'no map is given'
            in robot.call('query_image', image=robot.picture(street[0].image)).message
        )
        assert robot.call('load_map', path=str(street_map)).result == LoadMap.Response.SUCCESS
        assert robot.ask(camera, street[0].image).hypotheses[0].place_id == 0


def test_a_map_that_is_not_there_is_named_and_the_parameter_cures_it(
    ros: None, street_map: Path, street: Any
):
    with Robot(map='/nowhere/map') as robot:
        robot.until_active()
        assert robot.until_status('/nowhere/map').level == LocalizerStatus.ERROR
        robot.until(
            lambda: robot.diagnostic('Map') and '/nowhere/map' in robot.diagnostic('Map').message,
            'diagnostics',
        )
        assert robot.set('map', str(street_map)).successful
        assert robot.ask(robot.camera(), street[1].image).hypotheses[0].place_id == 1


def test_missing_weights_are_named_everywhere_and_the_parameter_cures_it(
    ros: None, street_map: Path, street: Any
):
    with Robot(map=str(street_map), extractor__weights='/nowhere/w.safetensors') as robot:
        robot.until_active()
        assert robot.until_status('/nowhere/w.safetensors').message.startswith('Inference')
        answer = robot.call('load_map', path=str(street_map))
        assert answer.result == LoadMap.Response.FAILURE and '/nowhere/w' in answer.message
        until_dropped(robot, robot.camera(), robot.picture(street[1].image), 'no_model')
        assert robot.set('extractor.weights', ExtractorConfig().weights).successful
        assert robot.ask(robot.camera(), street[1].image).hypotheses[0].place_id == 1


def test_a_model_that_does_not_load_leaves_the_one_in_use(robot: Robot, camera: Any, street: Any):
    assert robot.set('extractor.weights', '/nowhere/w.safetensors').successful
    robot.until_status('/nowhere/w.safetensors')
    assert robot.ask(camera, street[5].image).hypotheses[0].place_id == 5
    assert robot.set('extractor.weights', ExtractorConfig().weights).successful
    robot.until(lambda: not robot.localizer.pipeline.state.problem, 'recovery')


def test_a_map_that_does_not_load_leaves_the_one_in_use_and_stays_named(
    robot: Robot, camera: Any, street: Any, street_map: Path
):
    assert robot.set('map', '/nowhere/map').successful
    robot.until_status('the map in use stays')
    assert robot.set('recognizer.candidates', 10).successful
    assert robot.ask(camera, street[5].image).hypotheses[0].place_id == 5
    assert '/nowhere/map' in robot.status().message
    assert robot.set('map', str(street_map)).successful
    robot.until(lambda: not robot.localizer.pipeline.state.problem, 'recovery')


def test_a_bad_parameter_keeps_the_node_unconfigured_until_it_is_corrected(
    ros: None, street_map: Path, street: Any
):
    with Robot(map=str(street_map), image_transport='compresed') as robot:
        status = robot.until_status("got 'compresed'")
        assert status.lifecycle_state == LocalizerStatus.UNCONFIGURED
        assert 'ros2 param set' in status.message
        assert not robot.transition('configure')
        assert not robot.set('image_transport', 'zip').successful
        assert robot.set('image_transport', 'raw').successful
        robot.until_active()
        assert robot.ask(robot.camera(), street[3].image).hypotheses[0].place_id == 3


def test_without_a_camera_the_status_says_where_it_listens_and_to_whom(
    ros: None, street_map: Path
):
    with Robot(remap=('image:=front/image',), no_image_after_s=0.2) as robot:
        robot.until_active()
        assert robot.call('load_map', path=str(street_map)).result == LoadMap.Response.SUCCESS
        text = robot.until_status('no image for').message
        assert f'{robot.namespace}/front/image' in text and '0 publishers: none' in text
        assert 'best_effort, volatile' in text and '--ros-args -r image:=' in text


@pytest.mark.parametrize(
    ('given', 'published', 'kind', 'cure'),
    [
        ('raw', 'image/compressed', CompressedImage, 'compressed'),
        ('raw', 'image', CompressedImage, 'compressed'),
        ('compressed', 'image', Image, 'raw'),
    ],
)
def test_images_of_the_other_transport_are_found_and_the_cure_is_named(
    ros: None, given: str, published: str, kind: Any, cure: str
):
    with Robot(no_image_after_s=0.2, image_transport=given) as robot:
        robot.camera(published, kind)
        robot.until_active()
        robot.until(
            lambda: (
                robot.diagnostic('Input')
                and f'set image_transport to {cure}' in robot.diagnostic('Input').message
            ),
            'the cure',
        )


@pytest.mark.parametrize('given', ['raw', 'compressed'])
def test_images_that_only_a_plugin_decodes_are_named(ros: None, given: str):
    with Robot(no_image_after_s=0.2, image_transport=given) as robot:
        robot.camera('image/ffmpeg', CompressedImage)  # its own type is not here
        robot.until_active()
        said = f'there is {robot.namespace}/image/ffmpeg'

        def line() -> Any:
            part = robot.diagnostic('Input')
            return part if part and said in part.message else None

        assert 'republish' in robot.until(line, 'the cure').message


def test_with_sim_time_and_no_clock_it_says_that_the_clock_is_missing(ros: None, street_map: Path):
    with Robot(map=str(street_map), use_sim_time=True, no_image_after_s=0.2) as robot:
        robot.until_active()
        robot.until_status('nothing publishes /clock')


def test_incompatible_qos_is_reported_with_both_profiles(ros: None, street_map: Path, street: Any):
    with Robot(map=str(street_map), qos_image='reliable') as robot:
        robot.until_active()
        camera = robot.camera(profile=qos_profile_sensor_data)
        text = robot.until_status('incompatible QoS').message
        assert 'we request reliable, volatile' in text and 'best_effort' in text
        assert robot.set('qos_image', 'sensor_data').successful
        assert robot.ask(camera, street[2].image).hypotheses[0].place_id == 2
