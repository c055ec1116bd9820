# SPDX-License-Identifier: MIT
"""A training run from a YAML file to weights: what `selavpr train` and `selavpr ablate` do.

Paths in the file are relative to its folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
from dataclasses import dataclass, field
import difflib
import glob
import os
from pathlib import Path
from typing import Any

import torch
import yaml

from selavpr_model.config import (
    DatasetConfig,
    ExtractorConfig,
    MiningConfig,
    ModelConfig,
    SourceConfig,
    TrainConfig,
)
from selavpr_model.config.options import Config
from selavpr_model.data.datasets import open_chosen
from selavpr_model.data.listing import SUFFIXES
from selavpr_model.errors import ConfigError, SourceError, WeightsError
from selavpr_model.features import weights
from selavpr_model.features.checkpoint import is_adapter, read_checkpoint
from selavpr_model.features.extractor import resolve_device
from selavpr_model.features.network import SelaVPR
from selavpr_model.runtime.distributed import rank
from selavpr_model.training.augment import AugmentConfig
from selavpr_model.training.batches import Views
from selavpr_model.training.run_folder import RunFiles
from selavpr_model.training.trainer import Trainer
from selavpr_model.training.training_sets import open_training_set
from selavpr_model.training.validation import Validation


@dataclass(frozen=True, slots=True)
class Recipe:
    """All of one run. model: overrides of what the weights say; singles: patterns of images."""

    weights: str = 'imgfocus_vits14'
    model: dict[str, Any] = field(default_factory=dict)
    train: TrainConfig = field(default_factory=TrainConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    mining: MiningConfig = field(default_factory=MiningConfig)
    sources: tuple[SourceConfig, ...] = ()
    singles: tuple[str, ...] = ()
    validation: tuple[DatasetConfig, ...] = ()
    base: Path = Path()

    def to_dict(self) -> dict[str, Any]:
        """All keys of the file in full."""
        values = dataclasses.asdict(self)
        lists = {k: list(values[k]) for k in ('sources', 'singles', 'validation')}
        return {**values, **lists, 'base': str(self.base)}


SECTIONS: dict[str, type[Config]] = {
    'train': TrainConfig,
    'augment': AugmentConfig,
    'mining': MiningConfig,
}
LISTS: dict[str, type[Config]] = {'sources': SourceConfig, 'validation': DatasetConfig}
KEYS = tuple(f.name for f in dataclasses.fields(Recipe) if f.name != 'base')


def read_recipe(path: Path) -> Recipe:
    """A YAML file as a recipe; ConfigError names what is wrong and the nearest name."""
    return make_recipe(read_yaml(path), path.absolute().parent)


def read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f'{path}: expected a YAML file of a recipe: {error}') from error
    if not isinstance(values, dict):
        raise ConfigError(f'{path}: expected keys ({", ".join(KEYS)}), got {values!r}')
    return values


def make_recipe(values: Mapping[str, Any], base: Path) -> Recipe:
    """The keys of a file -> a recipe; `base` is where its relative paths begin."""
    require_known(values, KEYS)
    parts: dict[str, Any] = {'base': base}
    for name, value in values.items():
        if name in SECTIONS:
            parts[name] = SECTIONS[name].from_dict(_typed(name, value, dict))
        elif name in LISTS:
            entries = [_typed(name, entry, dict) for entry in _typed(name, value, list)]
            parts[name] = tuple(LISTS[name].from_dict(entry) for entry in entries)
        elif name == 'singles':
            parts[name] = tuple(_typed(name, entry, str) for entry in _typed(name, value, list))
        else:
            parts[name] = _typed(name, value, str if name == 'weights' else dict)
    ModelConfig.from_dict(parts.get('model', {}))
    return Recipe(**parts)


def require_known(values: Mapping[str, Any], names: Sequence[str]) -> None:
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, 1)
            hint = f'did you mean {near[0]!r}?' if near else f'valid: {", ".join(names)}'
            raise ConfigError(f'recipe: unknown key {key!r}; {hint}')


def _typed(name: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ConfigError(f'recipe: {name}: expected a {kind.__name__}, got {value!r}')
    return value


def train(
    recipe: Recipe,
    out: Path,
    until: int | None = None,
    device: str = 'auto',
    progress: bool = True,
) -> Path:
    """Run or resume a recipe in the folder `out`; the file of the best (or last) weights.

    With several processes all of them call this, inside distributed.process_group().
    """
    trainer = make_trainer(recipe, out, device)
    trainer.files.describe(recipe.to_dict())
    trainer.run(until, progress)
    return best_weights(out)


def best_weights(out: Path) -> Path:
    """Of a run's folder: chosen by validation where there was one."""
    best = out / 'best.safetensors'
    return best if best.is_file() else out / 'last.safetensors'


def make_trainer(recipe: Recipe, out: Path, device: str = 'auto') -> Trainer:
    """Data, network and files of a recipe, ready to run; resumed where `out` has a state."""
    data = open_training_set(recipe.sources, recipe.base)
    views = Views(data, find_singles(recipe), recipe.train, recipe.augment)
    sets = [open_chosen(entry, recipe.base) for entry in recipe.validation]
    meta = {
        'backbone_weights': backbone_of(recipe.weights),
        'protocol': data.protocol,
        'validation': [f'{part.name}: {part.protocol}' for part in sets],
        'recipe': recipe.to_dict(),
    }
    network, given = make_network(recipe)
    return Trainer(
        network.to(process_device(device)),
        views,
        recipe.train,
        recipe.mining,
        RunFiles(out, writes=rank() == 0),
        Validation(sets, recipe.train) if sets else None,
        meta,
        new_projection='projection.weight' not in given,
    )


def make_network(recipe: Recipe) -> tuple[SelaVPR, set[str]]:
    """The weights as the recipe wants them, and the names of what was given.

    What they lack starts at random, adapters at no effect; the trainer starts the heads.
    """
    checkpoint, _ = weights.load(ExtractorConfig(weights=recipe.weights))
    new = {'serial_adapter': True, 'parallel_adapter': True, 'local_head': 'upconv'}
    model = {**checkpoint.config.to_dict(), **new, **recipe.model}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.train.seed)
        network = SelaVPR(ModelConfig.from_dict(model))
    own = network.state_dict()
    tensors = {k: v.float() for k, v in checkpoint.tensors.items() if k in own}
    if not weights.same_pooling(checkpoint.config, network.config):
        tensors = {k: v for k, v in tensors.items() if not k.startswith('projection.')}
    missing = [k for k in own if k not in tensors and not is_adapter(k)]
    if missing:
        raise WeightsError(f'{recipe.weights}: expected the whole backbone, lacks {missing[0]}')
    network.load_state_dict(tensors, strict=False)
    return network, set(tensors)


def backbone_of(name: str) -> str:
    """The name of the frozen part of some weights: their own, or the one they were trained on."""
    checkpoint = read_checkpoint(weights.locate(name))
    return weights.backbone_name(checkpoint) if checkpoint.base else name


def process_device(name: str) -> str:
    """As resolve_device; each process of torchrun takes the GPU of its number."""
    device = resolve_device(name)
    return f'cuda:{os.environ.get("LOCAL_RANK", "0")}' if device == 'cuda' else device


def find_singles(recipe: Recipe) -> list[Path]:
    """Images of the recipe's patterns; ConfigError where one matches none."""
    singles: list[Path] = []
    for pattern in recipe.singles:
        path = str(recipe.base / Path(pattern).expanduser())
        images = [Path(p) for p in sorted(glob.glob(path))]  # noqa: PTH207
        images = [p for p in images if p.suffix.lower() in SUFFIXES]
        if not images:
            raise SourceError(f'singles: expected a pattern of images ({path}), it matches none')
        singles += images
    if 0 < len(singles) < recipe.train.batch_size:
        raise ConfigError(
            f'singles: expected at least a batch of {recipe.train.batch_size}, got {len(singles)}'
        )
    return singles
