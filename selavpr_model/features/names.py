# SPDX-License-Identifier: MIT
"""Names of tensors: those of SelaVPR, DINOv2, Hugging Face and timm become ours."""

from __future__ import annotations

from collections.abc import Mapping
import re
from typing import Any

import torch
from torch import Tensor

from selavpr_model.features.vit import SIZES

MOST_TENSORS = 10_000
WRAPS = ('model_state_dict', 'state_dict', 'teacher', 'model', 'model_ema', 'student', 'net',
         'network', 'params', 'weights', 'module')  # fmt: skip
"""Keys under which people keep a state dict, in the order of what is best."""
_PREFIXES = ('module.', '_orig_mod.', 'model.', 'teacher.', 'student.', 'net.', 'network.',
             'dinov2.', 'encoder_q.')  # fmt: skip
_HEADS = ('head.', 'dino_head.', 'ibot_head.', 'classifier.', 'linear_head.', 'fc_norm.')
# Official name -> ours. DINOv2 files lack `backbone.`; training in pieces nests the blocks.
_RENAMES = (
    (r'^module\.', ''),
    (r'\.adapter1\.', '.serial.'),
    (r'\.adapter2\.', '.parallel.'),
    (r'\.D_fc1\.', '.down.'),
    (r'\.D_fc2\.', '.up.'),
    (r'^aggregation\.1\.p$', 'gem.p'),
    (r'^LocalAdapt\.upconv', 'local.up'),
    (r'(^|\.)blocks\.\d+\.(\d+)\.', r'\1blocks.\2.'),
)
_HUGGING_FACE = (
    (r'^encoder\.layer\.', 'blocks.'),
    (r'\.layer_scale(\d)\.lambda1$', r'.ls\1.gamma'),
    (r'\.attention\.output\.dense\.', '.attn.proj.'),
    (r'\.mlp\.weights_in\.', '.mlp.w12.'),
    (r'\.mlp\.weights_out\.', '.mlp.w3.'),
    (r'^embeddings\.patch_embeddings\.projection\.', 'patch_embed.proj.'),
    (r'^embeddings\.position_embeddings$', 'pos_embed'),
    (r'^embeddings\.', ''),
    (r'^layernorm\.', 'norm.'),
)


def state_dict(data: Mapping[Any, Any]) -> Mapping[str, Any] | None:
    """The named tensors in what a file holds, however wrapped; None where there are none."""
    for _ in range(4):  # {'state_dict': {'model': {...}}} has been seen
        inner = next((data[k] for k in WRAPS if isinstance(data.get(k), Mapping)), None)
        if inner is None:
            break
        data = inner
    if not all(isinstance(key, str) for key in data):
        return None
    tensors = {k: v for k, v in data.items() if isinstance(v, Tensor)}
    return tensors if tensors or not data else None


def unprefixed(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Without the prefixes that all names but those of heads share."""
    names = dict(tensors)
    for _ in range(4):
        bodies = [k for k in names if not k.startswith(_HEADS)]
        prefix = next(
            (p for p in _PREFIXES if bodies and all(k.startswith(p) for k in bodies)), ''
        )
        if not prefix:
            return names
        names = {k.removeprefix(prefix): v for k, v in names.items()}
    return names


def ours(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """(tensors under our names, names left out as they are heads of another task)."""
    left = [k for k in state if k.startswith(_HEADS)]
    kept = {k: v for k, v in state.items() if k not in left}
    if 'embeddings.cls_token' in kept:
        kept = hugging_face(kept)
    kept = timm(kept)
    tensors = {our_name(k): v for k, v in kept.items()}
    tensors.pop('backbone.mask_token', None)  # only DINOv2's own training needs it
    return tensors, left


def our_name(official: str) -> str:
    """Our parameter name for an official SelaVPR or DINOv2 one."""
    for pattern, replacement in _RENAMES:
        official = re.sub(pattern, replacement, official)
    ours = ('backbone.', 'gem.', 'local.')
    return official if official.startswith(ours) else f'backbone.{official}'


def hugging_face(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """DINOv2's own names for those of transformers, which keeps q, k and v apart."""
    named: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        found = re.match(r'encoder\.layer\.(\d{1,3})\.attention\.attention\.(\w+)\.(\w+)$', key)
        if found:
            block, which, kind = found.groups()
            parts.setdefault(f'blocks.{block}.attn.qkv.{kind}', {})[which] = tensor
            continue
        for pattern, replacement in _HUGGING_FACE:
            key = re.sub(pattern, replacement, key)
        named[key] = tensor
    for key, part in parts.items():
        if part.keys() == {'query', 'key', 'value'}:
            named[key] = torch.cat([part['query'], part['key'], part['value']])
    return named


def timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """DINOv2's own names for those of timm, which adds the cls token's position to the token."""
    named = dict(state)
    if 'reg_token' in named and 'register_tokens' not in named:
        named['register_tokens'] = named.pop('reg_token')
        position = named.get('pos_embed')
        if position is not None and position.ndim == 3 and position.shape[1] == 37 * 37:
            named['pos_embed'] = torch.cat([torch.zeros_like(position[:, :1]), position], dim=1)
    cls = named.get('cls_token')
    gated = {size.dim for size in SIZES.values() if size.gated}
    if cls is not None and cls.ndim and cls.shape[-1] in gated:
        for there, here in (('.mlp.fc1.', '.mlp.w12.'), ('.mlp.fc2.', '.mlp.w3.')):
            named = {k.replace(there, here): v for k, v in named.items()}
    return named
