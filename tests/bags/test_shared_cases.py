# SPDX-License-Identifier: MIT
"""Recordings and weights of real users, where they lie beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from selavpr_model.errors import WeightsError
from selavpr_model.features.checkpoint import check_checkpoint, read_checkpoint
from selavpr_ros.bags.reader import BagFrames

from where import ROOT

CASES = ROOT.parent / 'shared' / 'cases' / 'files'


def case(name: str) -> Path:
    if not (CASES / name).exists():
        pytest.skip(f'{CASES / name} is not there')
    return CASES / name


@pytest.mark.parametrize(('name', 'poses', 'images', 'position'), [
    ('bags/bag_vio', '', 29, (-2.80, 1.10, 0.00)),
    ('bags/bag_tf', 'tf:map', 29, None),
    ('damaged/svc_real.mcap', '', 29, (-2.86, 1.11, 0.24)),
    ('damaged/zmsg_flip', '', 27, (-2.86, 1.11, 0.24)),
])  # fmt: skip
def test_bags(name, poses, images, position):
    frames = list(BagFrames(case(name), pose_topic=poses))
    assert len(frames) == images and sum(f.pose is not None for f in frames) >= images - 1
    if position:
        assert frames[0].pose[:3, 3] == pytest.approx(position, abs=0.006)


@pytest.mark.parametrize(('name', 'said'), [
    ('SelaVPR_gdrive.pth', 'a web page, not weights'),
    ('SelaVPRplusplus_base.pth', r'SelaVPR\+\+'),
])  # fmt: skip
def test_what_is_no_weights(name, said):
    with pytest.raises(WeightsError, match=said):
        read_checkpoint(case(name))


@pytest.mark.parametrize('name', [
    'hf_dinov2_small.pth', 'timm_vit_small_patch14_reg4_dinov2.pth', 'wrapped_model.pth',
])  # fmt: skip
def test_weights(name):
    checkpoint = read_checkpoint(case(name))
    check_checkpoint(checkpoint)
    assert (checkpoint.config.backbone, checkpoint.config.blocks) == ('vits14', 12)
    assert checkpoint.config.registers == (4 if 'reg4' in name else 0)
