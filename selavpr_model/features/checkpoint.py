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

import numpy as np
from safetensors import safe_open, SafetensorError
from safetensors.torch import save_file
import torch
from torch import Tensor

from selavpr_model.config import ModelConfig
from selavpr_model.errors import ConfigError, WeightsError
from selavpr_model.features.network import SelaVPR
from selavpr_model.features.vit import SIZES

FORMAT = 'selavpr-1'

# Official name -> ours. DINOv2 files lack `backbone.`, DataParallel adds `module.`.
_RENAMES = (
    (r'^module\.', ''),
    (r'\.adapter1\.', '.serial.'),
    (r'\.adapter2\.', '.parallel.'),
    (r'\.D_fc1\.', '.down.'),
    (r'\.D_fc2\.', '.up.'),
    (r'^aggregation\.1\.p$', 'gem.p'),
    (r'^LocalAdapt\.upconv', 'local.up'),
)
# What the official training script pickled beside the tensors: the recalls, a numpy array.
_ALLOWED = (
    'numpy._core.multiarray._reconstruct', 'numpy._core.multiarray.scalar',
    'numpy.core.multiarray._reconstruct', 'numpy.core.multiarray.scalar',
)  # fmt: skip


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
    """Read a `.pth`, `.pt` or `.safetensors` file; WeightsError says what is wrong with it."""
    if not path.is_file():
        raise WeightsError(f'weights: no file {path}; see `selavpr weights list` for known names')
    if path.suffix == '.safetensors':
        return _read_own(path)
    if path.suffix in ('.pth', '.pt'):
        return from_official(_read_pickle(path), path)
    raise WeightsError(f'weights: expected .safetensors, .pth or .pt, got {path.name}')


def _read_own(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework='pt') as file:
            meta = json.loads((file.metadata() or {}).get('selavpr', '{}'))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f'weights: {path} is damaged ({error}); fetch it again') from error
    if meta.get('format') != FORMAT:
        got = meta.get('format', 'no selavpr header')
        raise WeightsError(f'weights: {path}: expected format {FORMAT}, got {got}')
    try:
        config = ModelConfig.from_dict(meta.pop('model'))
    except (KeyError, AttributeError, TypeError, ConfigError) as error:
        raise WeightsError(f'weights: {path}: its header describes no model ({error})') from error
    return Checkpoint(config, tensors, meta, meta.get('base', ''))


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write our safetensors atomically: a kill leaves the old file or the new one."""
    meta = {**checkpoint.meta, 'format': FORMAT, 'model': checkpoint.config.to_dict()}
    if checkpoint.base:
        meta['base'] = checkpoint.base
    tensors = {k: v.detach().cpu().contiguous() for k, v in sorted(checkpoint.tensors.items())}
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


def _read_pickle(path: Path) -> Mapping[str, Any]:
    """Tensors and the numpy recalls of the official script, and nothing else."""
    try:
        with torch.serialization.safe_globals(_numpy_globals()):
            data = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch raises many types for a bad file; all mean the same here
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f'weights: {path} is unsafe or damaged: {first}') from error
    if not isinstance(data, Mapping):
        raise WeightsError(f'weights: {path}: expected a state dict, got {type(data).__name__}')
    return data


def _numpy_globals() -> list[Any]:
    multiarray = getattr(np, '_core', None) or np.core  # numpy 1 has only `core`
    functions = (multiarray.multiarray._reconstruct, multiarray.multiarray.scalar)
    allowed: list[Any] = [(f, name) for name in _ALLOWED for f in functions if f.__name__ in name]
    kinds = {type(np.dtype(code)) for code in ('f4', 'f8', 'i4', 'i8', '?')}
    return [*allowed, np.ndarray, np.dtype, *kinds]


def from_official(data: Mapping[str, Any], path: Path) -> Checkpoint:
    """A checkpoint from the official SelaVPR or DINOv2 layout; the architecture is read off it."""
    state = data.get('model_state_dict', data)
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise WeightsError(f'weights: {path}: expected a state dict of named tensors')
    tensors = {our_name(k): v for k, v in state.items() if isinstance(v, Tensor)}
    tensors.pop('backbone.mask_token', None)  # only DINOv2's own training needs it
    meta: dict[str, Any] = {'source': path.name}
    if 'epoch_num' in data:
        meta['epoch'] = int(data['epoch_num'])
    return Checkpoint(infer_config(tensors, path), tensors, meta)


def our_name(official: str) -> str:
    """Our parameter name for an official SelaVPR or DINOv2 one."""
    for pattern, replacement in _RENAMES:
        official = re.sub(pattern, replacement, official)
    ours = ('backbone.', 'gem.', 'local.')
    return official if official.startswith(ours) else f'backbone.{official}'


def infer_config(tensors: Mapping[str, Tensor], path: Path) -> ModelConfig:
    """Read the architecture off the tensors' names and shapes; WeightsError when it is no ViT."""
    cls = tensors.get('backbone.cls_token')
    widths = {size.dim: name for name, size in SIZES.items()}
    if cls is None or cls.shape[-1] not in widths:
        some = ', '.join(sorted(tensors)[:3]) or 'no tensor'
        raise WeightsError(f'weights: {path} is neither SelaVPR nor DINOv2 (it holds {some}, ...)')
    dim = cls.shape[-1]
    numbers = [int(m[1]) for k in tensors if (m := re.match(r'backbone\.blocks\.(\d+)\.', k))]
    registers = tensors.get('backbone.register_tokens')
    serial = tensors.get('backbone.blocks.0.serial.down.weight')
    parallel = tensors.get('backbone.blocks.0.parallel.down.weight')
    down = serial if serial is not None else parallel
    up1, up2 = tensors.get('local.up1.weight'), tensors.get('local.up2.weight')
    plain = down is None and registers is not None  # Meta's own register models
    values: dict[str, Any] = {
        'backbone': widths[dim],
        'registers': 0 if registers is None else registers.shape[1],
        'blocks': max(numbers, default=-1) + 1,
        'final_norm': 'backbone.norm.weight' in tensors,
        'serial_adapter': serial is not None,
        'parallel_adapter': parallel is not None,
        'local_head': 'tokens' if up1 is None else 'upconv',
        'pos_offset': 0.0 if plain else 0.1,
        'pos_antialias': plain,
    }
    if down is not None:
        values['adapter_ratio'] = down.shape[0] / dim
    if up1 is not None and up2 is not None:
        values |= {'local_hidden': up1.shape[1], 'local_channels': up2.shape[1]}
    try:
        return ModelConfig(**values)
    except ConfigError as error:
        raise WeightsError(f'weights: {path}: {error}') from error


def build_network(checkpoint: Checkpoint) -> SelaVPR:
    """The network with these weights in float32, in evaluation mode; strict.

    A file without GeM's p (a plain backbone) gets the initial p = 3.
    """
    network = SelaVPR(checkpoint.config)
    tensors = {'gem.p': network.gem.p.detach(), **checkpoint.tensors}
    check_keys(network.state_dict(), tensors)
    network.load_state_dict({k: v.float() for k, v in tensors.items()}, strict=True)
    return network.eval()


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
    return f'{len(keys)}: {", ".join(keys[:most])}{more}'


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
