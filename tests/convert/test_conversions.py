# SPDX-License-Identifier: MIT
"""Every encoding a camera may send, padded or not, damaged or not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
from geometry_msgs.msg import Pose, PoseWithCovarianceStamped, TransformStamped
from hypothesis import given, settings
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from selavpr_model.errors import InputError
from selavpr_model.records import Candidate, Place, Recognition, State
from selavpr_ros.convert import closures, encodings, from_ros, to_ros

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)


def message(encoding: str, height: int, width: int, data: Any, step: int, big: int = 0) -> Image:
    made = Image(height=height, width=width, encoding=encoding, step=step, is_bigendian=big)
    made.data = bytes(data)
    return made


def picture(height: int = 24, width: int = 32) -> np.ndarray:
    """Smooth colours, so that chroma subsampling and demosaicing lose little."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = x * 255 // (width - 1), y * 255 // (height - 1)
    return np.stack([red, green, 255 - red], 2).astype(np.uint8)


def encode(rgb: np.ndarray, encoding: str, big: bool = False) -> np.ndarray:
    """(rows, row bytes) of an RGB image in an encoding, written independently of the decoder."""
    if encoding in ('yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv', 'nv12', 'nv21'):
        return _encode_yuv(rgb, encoding)
    if encoding.startswith('bayer'):
        return _depth(_mosaic(rgb, encoding[6:10]), encoding, big)
    channels = {'rgb8': [0, 1, 2], 'bgr8': [2, 1, 0], 'mono8': [1], 'mono16': [1]}
    if encoding in channels:
        return _depth(rgb[:, :, channels[encoding]].reshape(len(rgb), -1), encoding, big)
    order = [0, 1, 2] if encoding == 'rgba8' else [2, 1, 0]
    alpha = np.full((*rgb.shape[:2], 1), 7, np.uint8)
    return np.concatenate([rgb[:, :, order], alpha], 2).reshape(len(rgb), -1)


def _depth(rows: np.ndarray, encoding: str, big: bool) -> np.ndarray:
    if not encoding.endswith('16'):
        return np.ascontiguousarray(rows)
    wide = (rows.astype(np.uint16) << 8) | 0x5A
    return np.ascontiguousarray(wide.astype('>u2' if big else '<u2')).view(np.uint8)


def _mosaic(rgb: np.ndarray, pattern: str) -> np.ndarray:
    channel = np.array(['rgb'.index(c) for c in pattern]).reshape(2, 2)
    tiled = np.tile(channel, (rgb.shape[0] // 2, rgb.shape[1] // 2))
    return np.take_along_axis(rgb, tiled[..., None], 2)[..., 0]


def _encode_yuv(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """ITU-R BT.601, studio range."""
    r, g, b = (rgb[..., i].astype(float) for i in range(3))
    y = 16 + (65.738 * r + 129.057 * g + 25.064 * b) / 256
    u = 128 + (-37.945 * r - 74.494 * g + 112.439 * b) / 256
    v = 128 + (112.439 * r - 94.154 * g - 18.285 * b) / 256
    y, u, v = (np.clip(np.round(p), 0, 255).astype(np.uint8) for p in (y, u, v))
    if encoding.startswith('nv'):
        pair = [u, v] if encoding == 'nv12' else [v, u]
        chroma = np.stack([p[::2, ::2] for p in pair], 2).reshape(len(rgb) // 2, -1)
        return np.concatenate([y, chroma])
    chroma = np.where(
        np.arange(y.shape[1]) % 2 == 0, np.repeat(u[:, ::2], 2, 1), np.repeat(v[:, ::2], 2, 1)
    )
    pair = [chroma, y] if encoding in ('yuv422', 'uyvy') else [y, chroma]
    return np.stack(pair, 2).reshape(len(rgb), -1)


def expected(rgb: np.ndarray, encoding: str) -> np.ndarray:
    return np.repeat(rgb[:, :, 1:2], 3, 2) if encoding.startswith('mono') else rgb


@pytest.mark.parametrize('padding', [0, 10])
@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('encoding', sorted(encodings.LAYOUTS))
def test_every_encoding_gives_the_picture_back(encoding: str, big: bool, padding: int):
    rgb = picture()
    rows = encode(rgb, encoding, big)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    msg = message(encoding, *rgb.shape[:2], padded.tobytes(), padded.shape[1], int(big))
    got = from_ros.rgb_image(msg).astype(int)
    assert got.shape == rgb.shape
    inner = (slice(2, -2), slice(2, -2))  # demosaicing has no neighbours at the border
    exact = encoding in ('rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', 'mono16')
    tolerance = 0 if exact else 20
    assert np.abs(got - expected(rgb, encoding))[inner].max() <= tolerance


@pytest.mark.parametrize(
    'encoding', [e for e, layout in encodings.LAYOUTS.items() if layout.bridged]
)
def test_cv_bridge_and_opencv_agree_where_both_are_used(encoding: str, monkeypatch: Any):
    rows = encode(picture(), encoding)
    msg = message(encoding, 24, 32, rows.tobytes(), rows.shape[1])
    bridged = from_ros.rgb_image(msg)
    monkeypatch.setattr(encodings, '_cv_bridge', lambda: None)  # as on a machine without ROS
    np.testing.assert_array_equal(from_ros.rgb_image(msg), bridged)


@pytest.mark.parametrize('encoding', sorted(encodings.LAYOUTS))
def test_the_image_does_not_share_the_memory_of_the_message(encoding: str):
    rows = encode(picture(), encoding)
    msg = message(encoding, 24, 32, rows.tobytes(), rows.shape[1])
    image = from_ros.rgb_image(msg)
    before = image.copy()
    np.frombuffer(msg.data, np.uint8)[:] = 0
    np.testing.assert_array_equal(image, before)
    assert image.flags.writeable


@given(
    encoding=st.sampled_from(sorted(encodings.LAYOUTS)),
    height=st.integers(0, 40),
    width=st.integers(0, 40),
    step=st.integers(0, 400),
    data=st.binary(max_size=5000),
    big=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_any_sizes_give_an_image_or_an_error_that_names_them(
    encoding: str, height: int, width: int, step: int, data: bytes, big: bool
):
    msg = SimpleNamespace(
        encoding=encoding, height=height, width=width, step=step, is_bigendian=big, data=data
    )
    try:
        image = from_ros.rgb_image(msg)
    except InputError as error:
        assert encoding in str(error)
    else:
        assert image.shape == (height, width, 3) and image.dtype == np.uint8


@given(
    encoding=st.sampled_from(sorted(encodings.LAYOUTS)),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    padding=st.integers(0, 9),
    seed=st.integers(0, 99),
)
@settings(max_examples=300, deadline=None)
def test_well_formed_images_of_any_size_are_decoded_and_padding_never_matters(
    encoding: str, height: int, width: int, padding: int, seed: int
):
    layout = encodings.LAYOUTS[encoding]
    height += height % 2 if 'h' in layout.even else 0
    width += width % 2 if 'w' in layout.even else 0
    row = width * layout.channels * int(layout.dtype[1])
    rows = height * 3 // 2 if layout.semi_planar else height
    random = np.random.default_rng(seed)
    data = random.integers(0, 256, (rows, row + padding), np.uint8)
    padded = message(encoding, height, width, data.tobytes(), row + padding)
    packed = message(encoding, height, width, data[:, :row].tobytes(), row)
    try:
        image = from_ros.rgb_image(packed)
    except InputError as error:  # OpenCV needs a few pixels to demosaic
        assert encoding.startswith('bayer') and min(height, width) < 3, error
    else:
        np.testing.assert_array_equal(from_ros.rgb_image(padded), image)


def test_the_last_row_may_come_without_its_padding():
    rows = np.pad(encode(picture(), 'rgb8'), ((0, 0), (0, 5)))
    data = rows.tobytes()[:-5]
    np.testing.assert_array_equal(
        from_ros.rgb_image(message('rgb8', 24, 32, data, 101)), picture()
    )


def test_short_data_names_encoding_expected_and_got():
    with pytest.raises(InputError, match=r'rgb8 4x3 .* 36 bytes, got 35'):
        from_ros.rgb_image(message('rgb8', 3, 4, bytes(35), 12))


@pytest.mark.parametrize(
    ('encoding', 'cure'),
    [
        ('16UC1', 'depth'),
        ('32FC1', 'depth'),
        ('8UC3', 'channel order'),
        ('jpeg', 'rgb8'),
        ('', 'rgb8'),
    ],
)
def test_what_is_no_picture_is_refused_with_the_cure(encoding: str, cure: str):
    with pytest.raises(InputError, match=cure):
        from_ros.rgb_image(message(encoding, 2, 2, bytes(100), 8))


@pytest.mark.parametrize('form', ['png', 'bgr8; png compressed bgr8', 'rgb8; png compressed bgr8'])
def test_compressed_images_are_decoded(form: str):
    png = cv2.imencode('.png', picture()[:, :, ::-1])[1].tobytes()
    got = from_ros.rgb_image(CompressedImage(format=form, data=png))
    np.testing.assert_array_equal(got, picture())


def test_compressed_data_that_was_rgb_is_not_swapped():
    png = cv2.imencode('.png', picture())[1].tobytes()
    msg = CompressedImage(format='rgb8; png compressed rgb8', data=png)
    np.testing.assert_array_equal(from_ros.rgb_image(msg), picture())


def test_jpeg_and_sixteen_bit_and_grey_files_are_decoded():
    jpeg = cv2.imencode('.jpg', picture()[:, :, ::-1])[1].tobytes()
    got = from_ros.rgb_image(CompressedImage(format='jpeg', data=jpeg)).astype(int)
    assert np.abs(got - picture()).mean() < 6
    grey16 = cv2.imencode('.png', picture()[:, :, 1].astype(np.uint16) << 8)[1].tobytes()
    got = from_ros.rgb_image(CompressedImage(format='mono16; png compressed mono16', data=grey16))
    np.testing.assert_array_equal(got, expected(picture(), 'mono8'))


@pytest.mark.parametrize('form', ['16UC1; png compressed 16UC1', '16UC1; compressedDepth png'])
def test_compressed_depth_is_refused(form: str):
    png = cv2.imencode('.png', np.ones((4, 4), np.uint16))[1].tobytes()
    with pytest.raises(InputError, match='depth'):
        from_ros.rgb_image(CompressedImage(format=form, data=png))


@given(data=st.binary(max_size=300), form=st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_compressed_garbage_is_an_input_error(data: bytes, form: str):
    with pytest.raises(InputError):
        from_ros.rgb_image(SimpleNamespace(data=data, format=form))


@given(cut=st.integers(0, 10_000), flip=st.integers(0, 10_000), seed=st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_a_damaged_jpeg_never_crashes(cut: int, flip: int, seed: int):
    jpeg = bytearray(cv2.imencode('.jpg', picture())[1].tobytes())
    jpeg[flip % len(jpeg)] ^= seed
    try:
        image = from_ros.rgb_image(SimpleNamespace(data=bytes(jpeg[:cut]), format='jpeg'))
    except InputError as error:
        assert 'jpeg' in str(error)
    else:
        assert image.ndim == 3 and image.dtype == np.uint8


def test_stamps_survive_to_the_nanosecond():
    ns = 1_795_417_059_018_433_598
    assert from_ros.stamp_ns(to_ros.header(ns, 'map')) == ns
    assert from_ros.stamp_ns(to_ros.time(ns)) == ns
    assert from_ros.stamp_ns(to_ros.image(picture(), ns, 'a')) == ns


@given(ns=st.integers(-(2**62), 2**62))
def test_a_stamp_that_ros_cannot_hold_becomes_zero(ns: int):
    inside = 0 <= ns < 2**31 * 10**9
    assert from_ros.stamp_ns(to_ros.time(ns)) == (ns if inside else 0)


def test_poses_are_read_from_every_message_that_holds_one():
    pose = Pose()
    pose.position.x, pose.orientation.z, pose.orientation.w = 2.0, 1.0, 0.0
    turned = np.array([[-1, 0, 0, 2], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    odometry, stamped, transform = Odometry(), PoseWithCovarianceStamped(), TransformStamped()
    odometry.pose.pose = stamped.pose.pose = pose
    transform.transform.translation.x = 2.0
    transform.transform.rotation = pose.orientation
    for msg in (pose, odometry, stamped, transform):
        np.testing.assert_allclose(from_ros.pose_matrix(msg), turned, atol=1e-12)


@pytest.mark.parametrize(
    'values', [(0,) * 7, (float('nan'), 0, 0, 0, 0, 0, 1), (0, 0, 0, 0, 0, 0, 3)]
)
def test_a_pose_that_was_never_filled_in_is_refused(values: tuple[float, ...]):
    with pytest.raises(InputError, match='unit quaternion'):
        from_ros.checked_pose(values)


def test_camera_info_gives_the_camera_and_an_uncalibrated_one_is_refused():
    info = CameraInfo(width=640, height=480, distortion_model='plumb_bob', d=[0.1] * 5)
    with pytest.raises(InputError, match='calibrate'):
        from_ros.camera(info)
    info.k = [500.0, 0, 320, 0, 500, 240, 0, 0, 1]
    camera = from_ros.camera(info)
    assert camera.size == (640, 480) and camera.K[0, 2] == 320 and len(camera.distortion) == 5


def test_rosbags_messages_are_read_as_well():
    from rosbags.typesys import get_typestore, Stores

    types = get_typestore(Stores.ROS2_JAZZY).types
    header = types['std_msgs/msg/Header'](types['builtin_interfaces/msg/Time'](5, 7), 'cam')
    rows = encode(picture(), 'bgr8')
    msg = types['sensor_msgs/msg/Image'](header, 24, 32, 'bgr8', 0, 96, rows.ravel())
    np.testing.assert_array_equal(from_ros.rgb_image(msg), picture())
    assert from_ros.stamp_ns(msg) == 5_000_000_007 and from_ros.frame_id(msg) == 'cam'


BODY = to_ros.Body('map', 'base', np.eye(4))


def recognised(covariance: np.ndarray, state: State = State.LOCALIZED) -> to_ros.Outcome:
    place = Place(3, 10**9, pose=np.eye(4), session='one')
    best = Candidate(place, 0, 0.5, 0, mutual_matches=9)
    given_pose = (np.eye(4), covariance) if state is State.LOCALIZED else (None, None)
    answer = Recognition(2 * 10**9, state, (best,), 'because', *given_pose)
    return to_ros.Outcome(answer, 1, 'camera', 'id', 1, np.eye(6))


@given(arm=st.tuples(*[st.floats(-5, 5)] * 3), scale=st.floats(0, 3))
def test_the_covariance_moves_from_the_camera_to_the_base(arm: Any, scale: float):
    T_base_camera = np.eye(4)
    T_base_camera[:3, 3] = arm
    body = to_ros.Body('map', 'base', T_base_camera)
    covariance = np.diag([0.0, 0, 0, scale, scale, scale])
    found = to_ros.robot_pose(recognised(covariance).recognition, body)
    got = from_ros.pose_covariance(found)
    np.testing.assert_allclose(found.pose.pose.position.x, -arm[0])
    # Turning by r moves a point at -arm by r x -arm.
    x, y, _ = arm
    np.testing.assert_allclose(got[2, 2], max(scale * (x * x + y * y), 1e-6), atol=1e-9)
    assert (np.diag(got) > 0).all() and np.allclose(got, got.T)
    r = np.array([0.1, -0.2, 0.3])
    np.testing.assert_allclose(got[:3, 3:] @ r, scale * np.cross(r, -np.array(arm)), atol=1e-9)


def test_no_pose_and_no_closure_while_lost_or_ambiguous():
    for state in (State.LOST, State.AMBIGUOUS):
        outcome = recognised(np.eye(6), state)
        assert to_ros.robot_pose(outcome.recognition, BODY) is None
        assert closures.loop_closure(outcome, BODY) is None
        assert to_ros.hypotheses(outcome, BODY, 5).state == state
        assert len(to_ros.hypotheses(outcome, BODY, 5).hypotheses) == 1


def test_hypotheses_are_published_even_when_there_are_none():
    empty = Recognition(5, State.LOST, (), 'the map is empty')
    outcome = to_ros.Outcome(empty, 1, 'camera', 'id', 1, np.eye(6))
    made = to_ros.hypotheses(outcome, BODY, 5)
    assert made.state == made.LOST and len(made.hypotheses) == 0


def test_a_place_without_a_pose_gets_nan_and_says_so():
    candidate = Candidate(Place(1, 0), 0, 0.5, 0)
    made = to_ros.hypothesis(0, candidate, BODY, np.eye(6))
    assert made.pose_type == made.POSE_NONE
    assert np.isnan(made.pose.pose.position.x) and np.isnan(made.pose.covariance).all()


@pytest.mark.parametrize('confidence', [None, 0.25])
def test_a_confidence_that_is_not_known_is_nan_in_a_message(confidence: float | None):
    candidate = Candidate(Place(1, 0), 0, 0.5, 0, confidence=confidence)
    message = to_ros.hypothesis(0, candidate, BODY, np.eye(6))
    assert np.isnan(message.confidence) if confidence is None else message.confidence == 0.25
