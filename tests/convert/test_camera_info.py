# SPDX-License-Identifier: MIT
"""Regions, binning, rectified images and numbers that are none."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from selavpr_model.errors import InputError
from selavpr_ros.convert.camera_info import camera, is_rectified


def info(**fields: Any) -> CameraInfo:
    message = CameraInfo(width=640, height=480, distortion_model='plumb_bob')
    message.k = [500.0, 0.0, 320.0, 0.0, 500.0, 240.0, 0.0, 0.0, 1.0]
    message.p = [450.0, 0.0, 310.0, -45.0, 0.0, 450.0, 230.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    message.d = [0.1, -0.2, 0.0, 0.0, 0.0]
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ('topic', 'rectified'),
    [
        ('/camera/image_raw', False),
        ('/camera/image_rect', True),
        ('/camera/image_rect/compressed', True),
        ('/zed/rgb/image_rect_color', True),
        ('/zed/zed_node/rgb/color/rect/image', True),
        ('/zed/zed_node/rgb_raw/image_raw_color', False),
        ('/camera/infra1/image_rect_raw', True),
        ('/direct/image', False),
        ('/image_unrectified', False),
    ],
)
def test_the_name_of_the_topic_says_whether_images_are_rectified(
    topic: str, rectified: bool
) -> None:
    assert is_rectified('auto', topic) is rectified
    assert is_rectified('yes', topic) and not is_rectified('no', topic)


def test_rectified_images_have_p_and_no_distortion() -> None:
    made = camera(info(), rectified=True)
    assert made.K.tolist() == [[450, 0, 310], [0, 450, 230], [0, 0, 1]]
    assert not made.distortion.any() and made.model == 'plumb_bob'
    plain = camera(info(p=[0.0] * 12, d=[0.0] * 5), rectified=True)
    assert plain.K[0, 0] == 500
    with pytest.raises(InputError, match='P, which holds for them, is not set'):
        camera(info(p=[0.0] * 12), rectified=True)
    assert camera(info(distortion_model='omni'), rectified=True).K[0, 0] == 450


def roi(x: int, y: int, width: int, height: int) -> RegionOfInterest:
    return RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)


@pytest.mark.parametrize(
    ('region', 'binning', 'image', 'size', 'centre'),
    [
        ((0, 0, 0, 0), 0, None, (640, 480), (320, 240)),
        ((0, 0, 640, 480), 1, (640, 480), (640, 480), (320, 240)),
        ((100, 60, 320, 200), 0, (320, 200), (320, 200), (220, 180)),
        ((100, 60, 320, 200), 2, (160, 100), (320, 200), (220, 180)),
        ((100, 60, 320, 200), 1, (640, 480), (640, 480), (320, 240)),  # not cropped after all
        ((0, 0, 0, 0), 2, (320, 240), (640, 480), (320, 240)),
    ],
)
def test_a_region_and_binning_are_applied(region, binning, image, size, centre) -> None:
    message = info(roi=roi(*region), binning_x=binning, binning_y=binning)
    made = camera(message, image_size=image)
    assert made.size == size and tuple(made.K[:2, 2]) == centre and made.K[0, 0] == 500
    if image is not None:
        assert made.sees(np.zeros((image[1], image[0], 3), np.uint8))


@pytest.mark.parametrize(
    ('fields', 'reason'),
    [
        ({'width': 0}, 'expected the size of the image, got 0x480'),
        ({'k': [0.0] * 9}, 'focal length above 0'),
        ({'k': [500.0, 0, 320, 0, -1.0, 240, 0, 0, 1]}, 'focal length above 0'),
        ({'k': [1500.0, 0, 960, 0, 1500, 540, 0, 0, 1]}, 'of another resolution'),
        ({'d': [float('inf')] * 5}, 'D is not finite'),
        ({'d': [0.1] * 3}, 'plumb_bob has 0 or 4 or 5'),
        ({'distortion_model': ''}, 'is not known'),
        ({'distortion_model': 'double_sphere'}, r'image_rect'),
        ({'roi': roi(500, 0, 320, 200)}, 'is not within 640x480'),
    ],
)
def test_what_says_nothing_about_the_camera_is_refused(fields: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        camera(info(**fields))
    assert '\n' not in str(caught.value)


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=9, max_size=9),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=15),
    st.sampled_from(['', 'plumb_bob', 'rational_polynomial', 'equidistant', 'x']),
    st.booleans(),
)
def test_any_numbers_give_a_finite_camera_or_a_reason(k, d, model, rectified) -> None:
    message = info(distortion_model=model)
    message.k, message.d = k, d
    try:
        made = camera(message, rectified)
    except InputError:
        return
    assert np.isfinite(made.K).all() and np.isfinite(made.distortion).all() and made.K[0, 0] > 0
