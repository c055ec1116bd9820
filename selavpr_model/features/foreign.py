# SPDX-License-Identifier: MIT
"""Files that people take for weights of SelaVPR: named for what they are, and what to take."""

from __future__ import annotations

from collections.abc import Collection
import re

_OFFICIAL = (
    'take `selavpr weights fetch selavpr_vitl14_msls`, or another of `selavpr weights list`'
)
_BACKBONE = 'take its backbone alone, `selavpr weights fetch dinov2_vitb14`, or SelaVPR'

# What the first bytes say.
_MAGICS = (
    (b'version https://git-lfs', 'a pointer of Git LFS, not the weights', 'run `git lfs pull`'),
    (b'\x1f\x8b', 'a gzip archive', 'unpack it and import the file inside'),
    (b'\xfd7zXZ', 'an xz archive', 'unpack it and import the file inside'),
    (b'7z\xbc\xaf', 'a 7z archive', 'unpack it and import the file inside'),
    (b'Rar!', 'a rar archive', 'unpack it and import the file inside'),
    (b'\x89HDF', 'weights of Keras or TensorFlow (HDF5)', _OFFICIAL),
    (b'GGUF', 'a GGUF file of a language model', _OFFICIAL),
    (b'ftrt', 'a TensorRT engine', 'import the weights that it was built from'),
    (b'\x93NUMPY', 'one NumPy array', _OFFICIAL),
    (b'%PDF', 'a PDF', _OFFICIAL),
)
# A tensor's name that only this model has. The first that matches counts.
_MODELS = (
    (r'backbone\.adapters\.\d+\.D_fc', 'SelaVPR++, whose adapters lie beside the backbone',
     _OFFICIAL),
    (r'(^|\.)(dust_bin|cluster_features\.)', 'SALAD or MegaLoc, which aggregate otherwise',
     _BACKBONE),
    (r'(^|\.)boqs\.', 'BoQ, which aggregates otherwise', _BACKBONE),
    (r'(^|\.)aggregator\.(mix|channel_proj|row_proj)', 'MixVPR, a ResNet', _OFFICIAL),
    (r'(^|\.)(pool|aggregation|aggregator|net_vlad|netvlad)\.(0\.)?centroids$',
     'NetVLAD, which aggregates otherwise', _OFFICIAL),
    (r'(^|\.)aggregation\.\d+\.(fc|weight|bias)', 'CosPlace or EigenPlaces', _OFFICIAL),
    (r'(^|\.)encoder\.layers\.\d+\.self_attn\.', 'CricaVPR or another model with a transformer '
     'behind the backbone', _OFFICIAL),
    (r'(^|\.)rope_embed\.|(^|\.)storage_tokens$|(^|\.)layer\.\d+\.attention\.[qkv]_proj\.',
     'DINOv3', 'take DINOv2: `selavpr weights fetch dinov2_vits14`'),
    (r'(^|\.)depth_head\.', 'Depth Anything', _BACKBONE),
    (r'^visual\.|text_projection|logit_scale', 'CLIP', _OFFICIAL),
    (r'layernorm_before\.|intermediate\.dense\.', 'a ViT of Hugging Face that is not DINOv2',
     'take facebook/dinov2-small or a larger one'),
    (r'(^|\.)layer[1-4]\.\d+\.(conv|bn)\d', 'a ResNet', _OFFICIAL),
    (r'(^|\.)blocks\.0\.adapter\.|adaptmlp|lora_', 'a ViT with adapters of another kind',
     _OFFICIAL),
    (r'^model\.\d+\.(conv|cv\d|m)\.', 'YOLO', _OFFICIAL),
)  # fmt: skip


def by_bytes(head: bytes) -> str:
    """'it is WHAT; CURE' for a file that is known to be no weights, else empty."""
    if not head:
        return 'it is empty; download it again'
    start = head.lstrip(b'\xef\xbb\xbf \t\r\n')[:400].lower()
    if start.startswith((b'<!doctype', b'<html', b'<?xml', b'<head')):
        drive = b'google drive' in head.lower() or b'virus scan' in head.lower()
        cure = (
            'Google Drive asks before it gives large files: open the address in a browser and '
            'confirm, or use gdown'
            if drive
            else 'download the file itself'
        )
        return f'it is a web page, not weights; {cure}'
    for magic, what, cure in _MAGICS:
        if head.startswith(magic) or (magic == b'ftrt' and head[:4] == magic):
            return f'it is {what}; {cure}'
    if b'onnx' in head[:200].lower() or re.match(rb'\x08[\x01-\x20]\x12', head):
        return f'it is an ONNX network; {_OFFICIAL}'
    return ''


def by_names(names: Collection[str]) -> str:
    """'it is MODEL; CURE' for tensors' names of a known model that we cannot run, else empty."""
    for pattern, what, cure in _MODELS:
        if any(re.search(pattern, name) for name in names):
            return f'it is {what}, not SelaVPR or DINOv2; {cure}'
    return ''
