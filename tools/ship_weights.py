# SPDX-License-Identifier: MIT
"""Turn what `selavpr train` left into the weights that come with the package: fp16, one file.

python tools/ship_weights.py build/train/train_vits14/best.safetensors selavpr_vits14 \\
    --from build/train/vits14_head/last.safetensors --share 0.5
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch

from selavpr_model.errors import WeightsError
from selavpr_model.features.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from selavpr_model.runtime.paths import SHIPPED

MOST_BYTES = 12_000_000


def part_way(start: Checkpoint, learned: Checkpoint, share: float) -> Checkpoint:
    """Weights between where a run began and where it ended (Wortsman et al., WiSE-FT, 2022).

    What the start lacks: adapters, which began at no effect, so their last layer is scaled; a
    projection, which began as a whitening that was not kept, so all of it is taken.
    """
    tensors = {}
    for name, end in learned.tensors.items():
        if name in start.tensors:
            tensors[name] = torch.lerp(start.tensors[name].float(), end.float(), share)
        else:
            tensors[name] = end.float() * (share if '.up.' in name else 1.0)
    return dataclasses.replace(learned, tensors=tensors, meta={**learned.meta, 'share': share})


def ship(learned: Checkpoint, target: Path) -> Path:
    """Half the bytes of what was learned; the header keeps how: recipe, data, steps, backbone."""
    if not learned.base:
        raise WeightsError('expected adapters alone, got a whole network')
    tensors = {k: v.half() for k, v in learned.tensors.items()}
    if not all(bool(torch.isfinite(v).all()) for v in tensors.values()):
        raise WeightsError('the weights do not fit into fp16; ship fp32')
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
    parser.add_argument('--from', dest='start', type=Path, help='where the run began')
    parser.add_argument('--to', type=Path, default=SHIPPED, help='folder; default: the package')
    parser.add_argument('--share', type=float, default=1.0, help='of the way from there, 0 to 1')
    values = parser.parse_args()
    learned = read_checkpoint(values.source)
    if values.start is not None:
        learned = part_way(read_checkpoint(values.start), learned, values.share)
    path = ship(learned, values.to / f'{values.name}.safetensors')
    print(f'{path}: {path.stat().st_size / 1e6:.1f} MB')


if __name__ == '__main__':
    main()
