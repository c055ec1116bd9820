# SPDX-License-Identifier: MIT
"""A cv_bridge that NumPy broke, in any way, costs one warning and no image."""

from __future__ import annotations

from collections.abc import Iterator
import logging
from pathlib import Path
import sys

from convert_helpers import encode, message, picture
import numpy as np
import pytest

from selavpr_ros.convert import encodings, from_ros

CONVERTS = 'class CvBridge:\n    def imgmsg_to_cv2(self, msg, desired_encoding):\n        '
BROKEN = {
    'attribute': "raise AttributeError('_ARRAY_API not found')",
    'import': "raise ImportError('numpy.core.multiarray failed to import')",
    'module': "raise ModuleNotFoundError('No module named cv_bridge.boost', name='boost')",
    'system': "raise SystemError('initialization of cv_bridge_boost raised unreported exception')",
    'no class': 'x = 1',
    'made': "class CvBridge:\n    def __init__(self):\n        raise RuntimeError('numpy')",
    'converts': CONVERTS + "raise AttributeError('_ARRAY_API not found')",
    'wrong': CONVERTS + 'return None',
    'garbage': CONVERTS + 'import numpy as np; return np.zeros((1, 2, 3), np.uint8)',
}


@pytest.fixture
def afresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody has asked for cv_bridge yet, nor after this."""

    def forget() -> None:
        encodings._cv_bridge.cache_clear()
        encodings._bridge_works.cache_clear()
        encodings._failed.clear()

    forget()
    for name in [name for name in sys.modules if name.partition('.')[0] == 'cv_bridge']:
        monkeypatch.delitem(sys.modules, name)
    yield
    sys.modules.pop('cv_bridge', None)
    forget()


def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    (tmp_path / 'cv_bridge').mkdir()
    (tmp_path / 'cv_bridge' / '__init__.py').write_text(code)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize('kind', BROKEN)
def test_images_are_converted_all_the_same_and_it_is_said_once(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, afresh: None,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    install(tmp_path, monkeypatch, BROKEN[kind])
    rows = encode(picture(), 'bgr8')
    for _ in range(3):
        image = from_ros.rgb_image(message('bgr8', 24, 32, rows.tobytes(), rows.shape[1]))
        np.testing.assert_array_equal(image, picture())
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1 and 'pip install' in warnings[0].getMessage()


def test_one_encoding_that_fails_is_said_and_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, afresh: None, caplog: pytest.LogCaptureFixture
) -> None:
    code = CONVERTS + (
        'import numpy as np; assert msg.encoding == "bgr8"; '
        'return np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.width, 3)[:, :, ::-1]'
    )
    install(tmp_path, monkeypatch, code)
    for encoding in ('bgr8', 'rgba8', 'rgba8'):
        rows = encode(picture(), encoding)
        image = from_ros.rgb_image(message(encoding, 24, 32, rows.tobytes(), rows.shape[1]))
        np.testing.assert_array_equal(image, picture())
    assert len(caplog.records) == 1


def test_a_machine_without_it_is_not_warned(
    monkeypatch: pytest.MonkeyPatch, afresh: None, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    assert not encodings._bridge_works()
    rows = encode(picture(), 'bgr8')
    from_ros.rgb_image(message('bgr8', 24, 32, rows.tobytes(), rows.shape[1]))
    assert not caplog.records
