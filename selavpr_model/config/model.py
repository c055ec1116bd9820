# SPDX-License-Identifier: MIT
"""The network, and how an image becomes features."""

from __future__ import annotations

from dataclasses import dataclass
import re
from typing import Any

from selavpr_model.config.options import Config, option
from selavpr_model.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ModelConfig(Config):
    """The architecture; stored in every checkpoint and part of the fingerprint."""

    backbone: str = option(
        'vits14', 'size of the DINOv2 backbone', choices=('vits14', 'vitb14', 'vitl14', 'vitg14')
    )
    registers: int = option(0, 'number of register tokens after the cls token', low=0, high=16)
    blocks: int = option(12, 'number of transformer blocks that are used', low=1, high=40)
    final_norm: bool = option(True, 'whether a LayerNorm follows the last block that is used')
    serial_adapter: bool = option(
        True, 'whether each block has an adapter after the attention, with a skip inside'
    )
    parallel_adapter: bool = option(
        True, 'whether each block has an adapter beside the MLP, without a skip'
    )
    adapter_ratio: float = option(
        0.5, 'width of the bottleneck of an adapter over that of a token', low=0.01, high=4.0
    )
    adapter_scale: float = option(
        0.2, 'factor on the output of the parallel adapter', low=0.0, high=10.0
    )
    global_feature: str = option(
        'gem',
        'what the global feature is: the patch tokens pooled (GeM), or the cls token as it is',
        choices=('gem', 'cls'),
    )
    projection: int = option(
        0, 'width of a linear map of the global feature (learned whitening); 0: none', low=0
    )
    local_head: str = option(
        'upconv',
        'what the local features are: the patch tokens after up-convolution, or as they are (the '
        "paper's coarse features)",
        choices=('upconv', 'tokens'),
    )
    local_hidden: int = option(256, 'number of channels between the two up-convolutions', low=1)
    local_channels: int = option(128, 'number of channels of the local features', low=1)
    pos_offset: float = option(
        0.1,
        'amount added to the grid size when the position embedding is resampled',
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
        'selavpr_vits14', 'name of known weights (see `selavpr weights list`) or path to a file'
    )
    random_weights: bool = option(
        False,
        'whether the weights are random, with a fixed seed; for tests only, and every output '
        'says so',
    )
    blocks: int = option(
        0, 'number of transformer blocks that are used; 0: as the weights say', low=0, high=40
    )
    final_norm: str = option(
        'auto',
        'whether a LayerNorm follows the last block; auto: as the weights say',
        choices=('auto', 'yes', 'no'),
    )
    global_feature: str = option(
        'auto',
        'what the global feature is: gem pools the patch tokens, cls is the class token, auto: '
        'as the weights say',
        choices=('auto', 'gem', 'cls'),
    )
    local_head: str = option(
        'auto',
        'what the local features are: upconv makes a dense grid, tokens are the patch tokens, '
        'auto: as the weights say',
        choices=('auto', 'upconv', 'tokens'),
    )
    image_height: int = option(
        224, 'height of the input of the network, a multiple of 14', unit='px', low=14, high=1792
    )
    image_width: int = option(
        224, 'width of the input of the network, a multiple of 14', unit='px', low=14, high=1792
    )
    resize: str = option(
        'bilinear',
        'how images are resized: bilinear has no antialiasing (the evaluation of the paper), '
        'antialias has it (its training)',
        choices=('bilinear', 'antialias'),
    )
    device: str = option('auto', 'device that runs the network: auto, cpu, cuda or cuda:N')
    engine: str = option(
        'auto',
        'what runs the network: eager is plain PyTorch, fused is for CPUs, tensorrt needs '
        '`selavpr export`; auto is fused on a CPU and eager on a GPU',
        choices=('auto', 'eager', 'fused', 'tensorrt'),
    )
    precision: str = option(
        'auto',
        'number format of the network; auto measures once and takes fewer bits only if they are '
        'clearly faster on this computer',
        choices=('auto', 'fp32', 'bf16', 'fp16', 'int8'),
    )
    threads: int = option(
        0, 'number of CPU threads for inference; 0: one for each core', low=0, high=256
    )
    batch_size: int = option(
        8, 'number of images in one forward pass when a map is built', low=1, high=512
    )

    def __post_init__(self) -> None:
        Config.__post_init__(self)
        if not re.fullmatch(r'auto|cpu|cuda(:\d{1,3})?', self.device):
            raise ConfigError(
                'ExtractorConfig.device: expected auto, cpu, cuda or cuda:N; '
                f'got {self.device!r:.80}'
            )
