# SPDX-License-Identifier: MIT
"""Checkpoints: the official SelaVPR and DINOv2 `.pth` files and our own safetensors.

Loading is safe (no general unpickling) and strict (a mismatch lists the keys). Our files carry
the architecture and their history as JSON in the safetensors header.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
import hashlib
import json
import os
from pathlib import Path
import re
import tempfile
from typing import Any

from safetensors.torch import save_file
import torch
from torch import Tensor

from selavpr_model.config import ModelConfig
from selavpr_model.errors import ConfigError, WeightsError
from selavpr_model.features import files, foreign, names
from selavpr_model.features.architecture import infer_config, printable
from selavpr_model.features.network import SelaVPR

FORMAT = 'selavpr-1'
FREE_BYTES = 1 << 30
"""Up to here a file may be smaller than its tensors, which may repeat one number."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights with their architecture. tensors: our names -> tensors; meta: JSON values.

    base: fingerprint of the backbone the file needs when it holds adapters only, else ''.
    """

    config: ModelConfig
    tensors: dict[str, Tensor]
    meta: dict[str, Any] = field(default_factory=dict)
    base: str = ''


def read_checkpoint(path: Path) -> Checkpoint:
    """Read weights of any kind we know, by content; WeightsError says what is wrong with them."""
    if not path.is_file():
        raise WeightsError(f'weights: no file {path}; see `selavpr weights list` for known names')
    kind = files.kind_of(path)
    if kind != 'safetensors':
        return from_official(files.read_pickle(path, kind), path)
    metadata, tensors = files.read_safetensors(path)
    if 'selavpr' in metadata:
        return _own(metadata['selavpr'], tensors, path)
    return from_official(tensors, path)


def _own(header: str, tensors: dict[str, Tensor], path: Path) -> Checkpoint:
    meta = files.shallow_json(header, f'weights: {path}: its header')
    if meta.get('format') != FORMAT:
        got = str(meta.get('format', 'none'))[:40]
        raise WeightsError(f'weights: {path}: expected format {FORMAT}, got {got}')
    model, base = meta.pop('model', None), meta.get('base', '')
    try:
        config = ModelConfig.from_dict(model)
    except (AttributeError, TypeError, ConfigError, OverflowError) as error:
        raise WeightsError(f'weights: {path}: its header describes no model ({error})') from error
    if not isinstance(base, str):
        raise WeightsError(f'weights: {path}: expected the name of a backbone, got {base!r:.40}')
    return Checkpoint(config, tensors, meta, base)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write our safetensors atomically: a kill leaves the old file or the new one."""
    meta = {**checkpoint.meta, 'format': FORMAT, 'model': checkpoint.config.to_dict()}
    if checkpoint.base:
        meta['base'] = checkpoint.base
    tensors = _apart(checkpoint.tensors)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    os.close(handle)
    try:
        save_file(tensors, name, metadata={'selavpr': json.dumps(meta, sort_keys=True)})
        with Path(name).open('rb') as file:
            os.fsync(file.fileno())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous, each alone in its memory, as safetensors wants them."""
    seen: set[int] = set()
    apart = {}
    for key in sorted(tensors):
        whole = tensors[key].detach().cpu().contiguous()
        memory = whole.untyped_storage()
        if memory.data_ptr() in seen or memory.nbytes() != whole.numel() * whole.element_size():
            whole = whole.clone()
        seen.add(memory.data_ptr())
        apart[key] = whole
    return apart


def from_official(data: Mapping[str, Any], path: Path) -> Checkpoint:
    """A checkpoint from the names of SelaVPR, DINOv2, Hugging Face or timm, however wrapped.

    The architecture is read off the names and shapes.
    """
    state = names.state_dict(data)
    if state is None or len(state) > names.MOST_TENSORS:
        raise WeightsError(f'weights: {path}: expected a state dict of named tensors')
    plain = names.unprefixed(state)
    if told := foreign.by_names(plain):
        raise WeightsError(f'weights: {path}: {told}')
    _check_tensors(plain, path)
    tensors, left_out = names.ours(plain)
    meta: dict[str, Any] = {'source': path.name}
    if isinstance(data.get('epoch_num'), int):
        meta['epoch'] = data['epoch_num']
    if left_out:
        meta['left_out'] = sorted({name.partition('.')[0] for name in left_out})
    return Checkpoint(infer_config(tensors, path), tensors, meta)


def _check_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """WeightsError for tensors of another kind, or that would be far larger than the file."""
    for name, tensor in tensors.items():
        strided = tensor.layout == torch.strided and tensor.device.type == 'cpu'
        if not strided or tensor.is_quantized or tensor.is_complex() or tensor.is_nested:
            raise WeightsError(
                f'weights: {path}: expected plain numbers in {name[:80]!r}, got {tensor.dtype} '
                f'{tensor.layout}; take weights that are not quantized'
            )
    total = sum(4 * tensor.numel() for tensor in tensors.values())
    if path.is_file() and total > max(FREE_BYTES, 8 * path.stat().st_size):
        raise WeightsError(
            f'weights: {path}: its tensors would take {total} bytes, far more than the file; '
            f'it is damaged: {files.AGAIN}'
        )


def build_network(checkpoint: Checkpoint) -> SelaVPR:
    """The network with these weights in float32, in evaluation mode; strict.

    A file without GeM's p (a plain backbone) gets the initial p = 3.
    """
    check_checkpoint(checkpoint)
    network = SelaVPR(checkpoint.config)
    tensors = {'gem.p': network.gem.p.detach(), **checkpoint.tensors}
    network.load_state_dict({k: v.float() for k, v in tensors.items()}, strict=True)
    return network.eval()


def check_checkpoint(checkpoint: Checkpoint) -> None:
    """WeightsError unless every tensor is there, fits and is finite; allocates no network.

    Of a file that holds adapters only, the adapters.
    """
    expected = blueprint(checkpoint.config)
    if checkpoint.base:
        expected = {k: v for k, v in expected.items() if is_adapter(k)}
    check_keys(expected, {'gem.p': expected['gem.p'], **checkpoint.tensors})
    for name, tensor in checkpoint.tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f'weights: {name} holds NaN or infinity; {files.AGAIN}')


def blueprint(config: ModelConfig) -> dict[str, Tensor]:
    """The names and shapes of a network's tensors, without memory for them."""
    try:
        with torch.device('meta'):
            return dict(SelaVPR(config).state_dict())
    except (ConfigError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        first = (str(error).splitlines() or [''])[0][:200]
        raise WeightsError(f'weights: their header describes no model ({first})') from error


def check_keys(expected: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> None:
    """Raise WeightsError listing missing, unexpected and misshapen tensors."""
    problems = []
    if missing := sorted(expected.keys() - got.keys()):
        problems.append(f'missing {_some(missing)}')
    if unexpected := sorted(got.keys() - expected.keys()):
        problems.append(f'unexpected {_some(unexpected)}')
    for key in sorted(expected.keys() & got.keys()):
        want, have = tuple(expected[key].shape), tuple(got[key].shape)
        if want != have:
            problems.append(f'{key}: expected {want}, got {have}')
    if problems:
        text = '; '.join(problems[:8])
        raise WeightsError(f'weights do not fit the architecture: {text}; check the model options')


def _some(keys: list[str], most: int = 12) -> str:
    more = f' and {len(keys) - most} more' if len(keys) > most else ''
    shown = ', '.join(printable(key) for key in keys[:most])
    return f'{len(keys)}: {shown}{more}'


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 over names, shapes and float32 values, whatever file they came in."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        array = tensors[key].detach().cpu().float().contiguous().numpy()
        digest.update(f'{key}{array.shape}'.encode())
        digest.update(array.astype('<f4', copy=False).tobytes())
    return digest.hexdigest()


def backbone_digest(tensors: Mapping[str, Tensor]) -> str:
    """The digest of the frozen part, by which an adapters-only file names its backbone."""
    frozen = {k: v for k, v in tensors.items() if k.startswith('backbone.') and not is_adapter(k)}
    return tensors_digest(frozen)


def is_adapter(key: str) -> bool:
    """True for the tensors SelaVPR trains: adapters, GeM's p, projection and local adaptation."""
    return '.serial.' in key or '.parallel.' in key or not key.startswith('backbone.')


def adapters_only(checkpoint: Checkpoint) -> Checkpoint:
    """The trained part alone; it remembers the digest of the backbone it belongs to."""
    used = used_tensors(checkpoint.tensors, checkpoint.config)
    tensors = {k: v for k, v in used.items() if is_adapter(k)}
    base = backbone_digest(used)
    return Checkpoint(checkpoint.config, tensors, checkpoint.meta, base)


def join_backbone(adapters: Checkpoint, backbone: Checkpoint) -> Checkpoint:
    """An adapters-only checkpoint completed with its backbone; WeightsError when it is another."""
    frozen = {k: v for k, v in backbone.tensors.items() if k.startswith('backbone.')}
    frozen = {k: v for k, v in used_tensors(frozen, adapters.config).items() if not is_adapter(k)}
    digest = backbone_digest(frozen)
    if digest != adapters.base:
        raise WeightsError(
            f'weights: these adapters belong to backbone {adapters.base[:12]}, got {digest[:12]}; '
            'use the backbone they were trained on'
        )
    return Checkpoint(adapters.config, {**frozen, **adapters.tensors}, adapters.meta)


def used_tensors(tensors: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Without the blocks and the final norm that `config` leaves out."""

    def used(key: str) -> bool:
        block = re.match(r'backbone\.blocks\.(\d+)\.', key)
        if block:
            return int(block[1]) < config.blocks
        return config.final_norm or not key.startswith('backbone.norm.')

    return {k: v for k, v in tensors.items() if used(k)}
