# SPDX-License-Identifier: MIT
"""Turn what `selavpr train` left into the weights that come with the package: fp16, one file.

python tools/ship_weights.py build/train/train_vits14/best.safetensors selavpr_vits14
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch

from selavpr_model.checkpoint import read_checkpoint, write_checkpoint
from selavpr_model.errors import WeightsError
from selavpr_model.weights import SHIPPED

MOST_BYTES = 12_000_000


def ship(source: Path, target: Path) -> Path:
    """Half the bytes of what was learned; the header keeps how: recipe, data, steps, backbone."""
    learned = read_checkpoint(source)
    if not learned.base:
        raise WeightsError(f'{source}: expected adapters alone, got a whole network')
    tensors = {k: v.half() for k, v in learned.tensors.items()}
    if not all(bool(torch.isfinite(v).all()) for v in tensors.values()):
        raise WeightsError(f'{source}: does not fit into fp16; ship fp32')
    meta = {**learned.meta, 'recipe': {**learned.meta.get('recipe', {})}}
    meta['recipe'].pop('base', None)  # a folder of the machine it was trained on
    write_checkpoint(target, dataclasses.replace(learned, tensors=tensors, meta=meta))
    if target.stat().st_size > MOST_BYTES:
        raise WeightsError(f'{target}: expected at most {MOST_BYTES} bytes; train a smaller ratio')
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', type=Path, help='best.safetensors of a run')
    parser.add_argument('name', help='name of the weights, such as selavpr_vits14')
    values = parser.parse_args()
    path = ship(values.source, SHIPPED / f'{values.name}.safetensors')
    print(f'{path}: {path.stat().st_size / 1e6:.1f} MB')


if __name__ == '__main__':
    main()
