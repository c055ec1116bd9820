# SPDX-License-Identifier: MIT
"""`selavpr export`: build the TensorRT engine of a model on the machine that will run it."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from selavpr_model.cli.options import from_config, SIZE, Size, sized
from selavpr_model.config import ExtractorConfig

EXTRACTOR = ExtractorConfig()


def export(
    weights: Annotated[str, from_config(ExtractorConfig, 'weights')] = EXTRACTOR.weights,
    size: Size = SIZE,
    device: Annotated[
        str, typer.Option(help='GPU that the engine is for: auto or cuda:N')
    ] = EXTRACTOR.device,
) -> None:
    """Build the TensorRT engine (fp16, 1 to 8 images) for extractor.engine: tensorrt.

    It needs an NVIDIA GPU and torch-tensorrt. It takes minutes, once for each GPU and weights.

    Example: selavpr export --weights selavpr_vitl14_msls
    """
    from selavpr_model.features import weights as known
    from selavpr_model.features.checkpoint import build_network, tensors_digest
    from selavpr_model.features.engines import tensorrt
    from selavpr_model.features.extractor import resolve_device

    logging.getLogger('selavpr_model').setLevel(logging.INFO)
    config = sized(ExtractorConfig(weights=weights), size)
    network = build_network(known.load(config)[0])
    digest = tensors_digest(network.state_dict())
    network = network.to(resolve_device(device))
    typer.echo(str(tensorrt.build(network, (config.image_height, config.image_width), digest)))
