# SPDX-License-Identifier: MIT
"""The network, and how an image becomes features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from selavpr_model.config.options import Config, option


@dataclass(frozen=True, slots=True)
class ModelConfig(Config):
    """The architecture; stored in every checkpoint and part of the fingerprint."""

    backbone: str = option(
        'vits14', 'DINOv2 backbone size', choices=('vits14', 'vitb14', 'vitl14', 'vitg14')
    )
    registers: int = option(0, 'register tokens after the cls token', low=0, high=16)
    blocks: int = option(12, 'transformer blocks that are used', low=1, high=40)
    final_norm: bool = option(True, 'LayerNorm after the last block used')
    serial_adapter: bool = option(True, 'adapter after the attention, with a skip inside')
    parallel_adapter: bool = option(True, 'adapter beside the MLP, without a skip')
    adapter_ratio: float = option(0.5, 'bottleneck width over token width', low=0.01, high=4.0)
    adapter_scale: float = option(0.2, 'factor on the parallel adapter', low=0.0, high=10.0)
    global_feature: str = option(
        'gem',
        'global feature: pooling of the patch tokens (GeM), or the cls token as it is',
        choices=('gem', 'cls'),
    )
    projection: int = option(
        0, 'width of a linear map of the global feature (learned whitening); 0: none', low=0
    )
    local_head: str = option(
        'upconv',
        'dense local features: up-convolution, or the patch tokens (the paper: coarse features)',
        choices=('upconv', 'tokens'),
    )
    local_hidden: int = option(256, 'channels between the two up-convolutions', low=1)
    local_channels: int = option(128, 'channels of the dense local features', low=1)
    pos_offset: float = option(
        0.1,
        'number added to the grid size when the position embedding is resampled',
        low=0.0,
        high=1.0,
    )
    pos_antialias: bool = option(
        False, 'whether the position embedding is resampled with antialias (Meta register models)'
    )

    def to_dict(self) -> dict[str, Any]:
        """Without what came after the first maps and says nothing: their fingerprints stay."""
        later = {'global_feature': 'gem', 'projection': 0}
        return {k: v for k, v in Config.to_dict(self).items() if later.get(k) != v}


@dataclass(frozen=True, slots=True)
class ExtractorConfig(Config):
    """From an image to features."""

    weights: str = option(
        'selavpr_vits14', 'name of known weights (selavpr weights list) or path to a file'
    )
    random_weights: bool = option(
        False, 'use seeded random weights; for tests only, said in every output'
    )
    blocks: int = option(
        0, 'transformer blocks that are used; 0: as the weights say', low=0, high=40
    )
    final_norm: str = option(
        'auto',
        'LayerNorm after the last block; auto: as the weights say',
        choices=('auto', 'yes', 'no'),
    )
    global_feature: str = option(
        'auto',
        'global feature: gem, the cls token, or auto: as the weights say',
        choices=('auto', 'gem', 'cls'),
    )
    local_head: str = option(
        'auto',
        'local features: upconv, tokens, or auto: as the weights say',
        choices=('auto', 'upconv', 'tokens'),
    )
    image_height: int = option(224, 'input height, a multiple of 14', unit='px', low=14, high=1792)
    image_width: int = option(224, 'input width, a multiple of 14', unit='px', low=14, high=1792)
    resize: str = option(
        'bilinear',
        'resampling: bilinear without (evaluation of the paper) or with antialias (its training)',
        choices=('bilinear', 'antialias'),
    )
    device: str = option('auto', 'device that runs the network: auto, cpu, cuda or cuda:N')
    engine: str = option(
        'auto',
        'what runs the network: torch as it is, fused for CPUs, or TensorRT (selavpr export)',
        choices=('auto', 'eager', 'fused', 'tensorrt'),
    )
    precision: str = option(
        'auto',
        'arithmetic of the network; auto measures once what is fast on this machine',
        choices=('auto', 'fp32', 'bf16', 'fp16', 'int8'),
    )
    threads: int = option(0, 'CPU threads for inference; 0: all cores', low=0, high=256)
    batch_size: int = option(8, 'images in one forward pass when a map is built', low=1, high=512)
