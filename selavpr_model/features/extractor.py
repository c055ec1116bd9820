# SPDX-License-Identifier: MIT
"""From RGB images to features: device, precision and preprocessing in one place."""

from __future__ import annotations

from collections.abc import Sequence
import copy
import hashlib
import json

import numpy as np
import torch
from torch import Tensor
import torch.nn.functional as F

from selavpr_model.config import ExtractorConfig
from selavpr_model.errors import ConfigError
from selavpr_model.features import weights
from selavpr_model.features.checkpoint import build_network, Checkpoint, tensors_digest
from selavpr_model.features.engines.choice import choose_engine
from selavpr_model.features.network import SelaVPR
from selavpr_model.features.vit import grid_of
from selavpr_model.records import Features, ModelIdentity, require_rgb
from selavpr_model.runtime.threads import limit_threads

WHOLE_PIXELS = 1 << 24  # of an image that is resized at once: 200 MB in float32
BAND_PIXELS = 1 << 22


class Extractor:
    """A network on a device; what it was made of is in `identity`.

    local: what makes the local features of the tokens, on the CPU; None where they are the tokens.
    """

    def __init__(self, network: SelaVPR, identity: ModelIdentity, config: ExtractorConfig) -> None:
        self.config = config
        self.identity = identity
        self.device = resolve_device(config.device)
        self.input_size = (config.image_height, config.image_width)
        self.local = copy.deepcopy(network.local)  # engines may change the network's own
        digest = str(identity.description.get('tensors_sha256', ''))
        wanted = (config.engine, config.precision)
        self._engine = choose_engine(network.to(self.device), self.input_size, *wanted, digest)
        self.engine, self.precision = self._engine.name, self._engine.precision

    def extract(self, image: np.ndarray) -> Features:
        """(H, W, 3) uint8 RGB of any size -> Features; InputError for anything else."""
        return self.extract_batch([image])[0]

    def extract_batch(self, images: Sequence[np.ndarray]) -> list[Features]:
        """The same for several images, in one forward pass; sizes may differ."""
        if not images:
            return []
        ready = [self.preprocess(image) for image in images]
        batch = (torch.stack(ready) if len(ready) > 1 else ready[0][None]).to(self.device)
        with torch.inference_mode():
            outputs = self._engine.run(batch)
        each = zip(*(whole.cpu().numpy() for whole in outputs), strict=True)
        return [Features(*one) for one in each]

    def preprocess(self, image: np.ndarray) -> Tensor:
        """(H, W, 3) uint8 -> (3, h, w) float32 in [0, 1], bilinear, corners not aligned.

        Without antialias it equals the paper's evaluation, which resizes the normalised tensor:
        both steps are linear. With antialias it follows the paper's training.
        """
        require_rgb(image)
        antialias = self.config.resize == 'antialias'
        if image.shape[0] * image.shape[1] > WHOLE_PIXELS:
            sized = _resized_huge(image, self.input_size, antialias)
        else:
            sized = _resized(image, self.input_size, antialias)
        return sized.div_(255).clamp_(0, 1)


def _resized(image: np.ndarray, size: tuple[int, int], antialias: bool) -> Tensor:
    """(H, W, 3) uint8 -> (3, h, w) float32 in [0, 255]."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    return F.interpolate(pixels, size, mode='bilinear', antialias=antialias)[0]


def _resized_huge(image: np.ndarray, size: tuple[int, int], antialias: bool) -> Tensor:
    """The same to rounding, rows before columns: in float32 a huge image is four times as large
    as it came.
    """
    if antialias:
        return _resized_in_bands(image, size)
    # without antialias two rows are looked at for each that is made
    at = ((np.arange(size[0]) + 0.5) * (len(image) / size[0]) - 0.5).clip(0, len(image) - 1)
    above = at.astype(np.int64)
    share = (at - above).astype(np.float32)[:, None, None]
    below = image[np.minimum(above + 1, len(image) - 1)]
    flat = torch.from_numpy(image[above] * (1 - share) + below * share)
    return F.interpolate(flat.permute(2, 0, 1)[None], size, mode='bilinear')[0]


def _resized_in_bands(image: np.ndarray, size: tuple[int, int]) -> Tensor:
    """With antialias: each row is made as wide as asked, some at a time, then the columns."""
    rows = max(1, BAND_PIXELS // image.shape[1])
    bands = [image[start : start + rows] for start in range(0, len(image), rows)]
    narrow = [_resized(band, (len(band), size[1]), True) for band in bands]
    tall = torch.cat(narrow, dim=1)[None]
    return F.interpolate(tall, size, mode='bilinear', antialias=True)[0]


def load_extractor(config: ExtractorConfig | None = None) -> Extractor:
    """The extractor of a configuration; WeightsError or ConfigError say what is wrong with it."""
    config = config or ExtractorConfig()
    grid_of(config.image_height, config.image_width)
    if config.threads:
        limit_threads(config.threads)
    checkpoint, note = weights.load(config)
    network = build_network(checkpoint)
    return Extractor(network, identify(network, checkpoint, config, note), config)


def identify(
    network: SelaVPR, checkpoint: Checkpoint, config: ExtractorConfig, note: str
) -> ModelIdentity:
    """Fingerprint of architecture, weights and preprocessing; not of precision or device."""
    size = (config.image_height, config.image_width)
    description: dict[str, object] = {
        'model': checkpoint.config.to_dict(),
        'preprocessing': {'height': size[0], 'width': size[1], 'resize': config.resize},
        'tensors_sha256': tensors_digest(network.state_dict()),
    }
    text = json.dumps(description, sort_keys=True).encode()
    return ModelIdentity(
        fingerprint=hashlib.sha256(text).hexdigest(),
        weights='random' if config.random_weights else config.weights,
        global_dim=network.global_dim,
        local_shape=network.local_shape(*size),
        description=description,
        note=note,
    )


def resolve_device(name: str) -> str:
    """'auto' -> 'cuda' where torch sees one, else 'cpu'; ConfigError if it is not there."""
    if name == 'auto':
        return 'cuda' if torch.cuda.is_available() else 'cpu'
    kind, _, number = name.partition(':')
    if kind == 'cpu' and not number:
        return name
    if kind == 'cuda' and (not number or number.isdigit()):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) < count:
            return name
        raise ConfigError(
            f'device: {name} asked for, torch sees {count} CUDA devices; use auto or cpu'
        )
    raise ConfigError(f'device: expected auto, cpu, cuda or cuda:N; got {name!r}')
