# SPDX-License-Identifier: MIT
"""Training on real images: starts at the frozen backbone, learns, resumes exactly, is shared."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from selavpr_model.config import ExtractorConfig
from selavpr_model.data.image_folder import read_rgb
from selavpr_model.errors import ConfigError, InputError, WeightsError
from selavpr_model.features import weights
from selavpr_model.features.checkpoint import build_network, read_checkpoint
from selavpr_model.training.batches import ImageCache
from selavpr_model.training.features import global_features
from selavpr_model.training.run import (
    make_network,
    make_recipe,
    make_trainer,
    read_recipe,
    Recipe,
    train,
)

from where import ROOT, TESTS

CONFIGS = ROOT / 'config'
SMALL = {'seed': 3, 'image_px': 56, 'precision': 'fp32', 'batch_size': 4, 'learning_rate': 1e-3}
RECIPES = {
    'contrastive': {'objective': 'contrastive', 'memory': 16, 'average': 0.9, 'self_pairs': 0.3,
                    'correspondence_weight': 0.1, 'local_start': 'pca', 'weight_decay': 0.01,
                    'alike': 2, 'alike_every': 4},
    'paper': {'objective': 'paper'},
}  # fmt: skip


@pytest.fixture
def pairs(shared_data, tmp_path) -> Path:
    """Twelve real places of two images each, small."""
    for name in ('query', 'ref'):
        (tmp_path / 'pairs' / name).mkdir(parents=True)
        for file in sorted((shared_data('sped') / name).glob('*.png'))[:24:2]:
            shutil.copy(file, tmp_path / 'pairs' / name)
    return tmp_path / 'pairs'


def recipe_of(pairs: Path, kind: str, **train_values: object) -> Recipe:
    values = {
        'model': {'blocks': 1, **({'projection': 16} if kind == 'contrastive' else {})},
        'train': {**SMALL, **RECIPES[kind], 'steps': 6, 'checkpoint_every': 3, **train_values},
        'mining': {'queries': 8, 'candidates': 12},
        'sources': [{'path': str(pairs)}],
    }
    return make_recipe(values, pairs)


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('train_*.yaml')), ids=lambda p: p.name)
def test_the_recipes_we_ship_can_be_read(path):
    recipe = read_recipe(path)
    assert recipe.sources and recipe.validation


def test_training_starts_at_the_frozen_backbone(pairs, tmp_path):
    trainer = make_trainer(recipe_of(pairs, 'contrastive'), tmp_path / 'out')
    frozen = weights.load(ExtractorConfig(weights='imgfocus_vits14', blocks=1))[0]
    x = torch.rand(1, 3, 56, 56)
    network = trainer.network
    with torch.inference_mode():
        adapted = network.pool(*network.backbone((x - network.mean) / network.std))
        plain = build_network(frozen).describe(x)
    assert any('.serial.' in name for name in trainer.trained)
    torch.testing.assert_close(adapted, plain)


def test_a_new_projection_starts_as_a_whitening_of_the_training_images(pairs, tmp_path):
    trainer = make_trainer(recipe_of(pairs, 'contrastive'), tmp_path / 'out')
    projection = trainer.network.projection
    rows = range(len(trainer.views.data))
    x = global_features(trainer.network, trainer.views, rows, trainer.config, pooled=True)
    with torch.inference_mode():
        spread = torch.cov(projection(torch.from_numpy(x)).T)
    assert 'projection.weight' in trainer.trained
    off = spread - torch.diag(spread.diagonal())
    assert off.abs().max() < 1e-3 * spread.diagonal().max()
    assert spread.diagonal().min() > 0.3 * spread.diagonal().max()  # but for the shrinkage


def test_a_projection_that_was_given_is_kept(pairs, tmp_path):
    first = train(recipe_of(pairs, 'contrastive', steps=3), tmp_path / 'first', progress=False)
    onward = recipe_of(pairs, 'contrastive')
    trainer = make_trainer(dataclasses.replace(onward, weights=str(first)), tmp_path / 'second')
    given = read_checkpoint(first).tensors['projection.weight']
    torch.testing.assert_close(trainer.network.projection.weight.detach(), given)


@pytest.mark.parametrize('kind', RECIPES)
def test_a_resumed_run_gives_the_weights_of_an_uninterrupted_one(kind, pairs, tmp_path):
    torch.set_num_threads(2)  # several threads must not change the sums
    recipe = recipe_of(pairs, kind)
    whole = read_checkpoint(train(recipe, tmp_path / 'whole', progress=False))
    train(recipe, tmp_path / 'parts', until=3, progress=False)
    halfway = read_checkpoint(tmp_path / 'parts' / 'last.safetensors')
    parts = read_checkpoint(train(recipe, tmp_path / 'parts', progress=False))
    assert whole.tensors.keys() == parts.tensors.keys()
    assert all(torch.equal(whole.tensors[k], parts.tensors[k]) for k in whole.tensors)
    assert any(not torch.equal(whole.tensors[k], halfway.tensors[k]) for k in whole.tensors)
    logs = [(tmp_path / name / 'log.csv').read_text() for name in ('whole', 'parts')]
    assert logs[0] == logs[1]


def test_a_run_does_not_resume_with_other_settings(pairs, tmp_path):
    train(recipe_of(pairs, 'contrastive', steps=3), tmp_path / 'out', progress=False)
    with pytest.raises(ConfigError, match='learning_rate'):
        train(recipe_of(pairs, 'contrastive', steps=3, learning_rate=0.1), tmp_path / 'out')


def test_a_broken_image_is_skipped_and_named(pairs, tmp_path, caplog):
    broken = sorted((pairs / 'query').iterdir())[0]
    broken.write_bytes(b'not an image')
    trainer = make_trainer(recipe_of(pairs, 'contrastive', steps=6), tmp_path / 'out')
    trainer.run(progress=False)
    assert trainer.step == 6
    assert [file.name for file in trainer.views.failed] == [broken.name]
    assert broken.name in caplog.text


def test_images_are_kept_up_to_a_limit_and_the_others_are_read_again(pairs):
    files = sorted((pairs / 'query').iterdir())[:4]
    small = [ImageCache(50, 10**9).read(file) for file in files]
    cache = ImageCache(50, small[0].nbytes + small[1].nbytes)
    read = [cache.read(file) for file in files]
    assert all(
        np.array_equal(a, b) and min(a.shape[:2]) == 50 for a, b in zip(read, small, strict=True)
    )
    assert cache.bytes == cache.limit
    for file in files:
        file.write_bytes(b'gone')
    assert [
        cache.read(file) is image for file, image in zip(files[:2], read[:2], strict=True)
    ] == [True, True]
    for file in files[2:]:
        with pytest.raises(InputError):
            cache.read(file)


DISTRIBUTED = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from selavpr_model.runtime.distributed import process_group, rank
from selavpr_model.training.run import make_recipe, make_trainer
sys.path[:0] = [sys.argv[3], str(Path(sys.argv[3]).parent)]
from test_trainer import recipe_of
with process_group():
    trainer = make_trainer(recipe_of(Path(sys.argv[1]), sys.argv[4]), Path(sys.argv[2]))
    trainer.run(2, progress=False)
"""


@pytest.mark.parametrize('kind', RECIPES)
def test_two_processes_learn_what_one_does_with_the_same_batch(kind, pairs, tmp_path):
    script = tmp_path / 'script.py'
    script.write_text(DISTRIBUTED)
    here = str(TESTS / 'training')
    rest = [str(script), str(pairs)]
    launch = [sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', '2',
              '--master-port', '0', '--standalone']  # fmt: skip
    for command, out in (([sys.executable], 'one'), (launch, 'two')):
        done = subprocess.run(
            [*command, *rest, str(tmp_path / out), here, kind],
            cwd=ROOT, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = (np.loadtxt(tmp_path / o / 'log.csv', delimiter=',', skiprows=1) for o in
                ('one', 'two'))  # fmt: skip
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    a, b = (read_checkpoint(tmp_path / o / 'last.safetensors').tensors for o in ('one', 'two'))
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=1e-3, atol=2e-4)


def test_thirty_steps_lower_the_loss_on_held_out_places(shared_data, tmp_path):
    """Real backbone, real pairs: places it never saw are told apart better than before."""
    recipe = make_recipe(
        {
            'model': {'blocks': 2},
            'train': {**SMALL, 'objective': 'contrastive', 'steps': 30, 'batch_size': 8,
                      'image_px': 98, 'learning_rate': 5e-4, 'local_weight': 0.0},
            'augment': {'min_scale': 0.9, 'light': 0.2, 'occlusion': 0.0},
            'sources': [{'path': str(shared_data('sped')), 'names': ':200'}],
        },
        tmp_path,
    )  # fmt: skip
    trainer = make_trainer(recipe, tmp_path / 'out')
    images = held_out(shared_data('sped'))
    before = contrast(trainer.network, images)
    trainer.run(progress=False)
    assert contrast(trainer.network, images) < before - 0.01


def held_out(folder: Path) -> torch.Tensor:
    """(2, 24, 3, 98, 98): queries and references of the last training names, not trained on."""
    views = [
        [read_rgb(f) for f in sorted((folder / name).glob('*.png')) if 300 <= int(f.stem) < 400]
        for name in ('query', 'ref')
    ]
    x = [torch.from_numpy(np.stack(v[::3][:24])).permute(0, 3, 1, 2).float() / 255 for v in views]
    return torch.stack([torch.nn.functional.interpolate(v, (98, 98), mode='bilinear') for v in x])


@torch.inference_mode()
def contrast(network: torch.nn.Module, images: torch.Tensor) -> float:
    """The contrastive loss of finding each reference by its query."""
    q, r = (network.describe(x) for x in images)
    return float(torch.nn.functional.cross_entropy(q @ r.T / 0.07, torch.arange(len(q))))


@pytest.mark.parametrize(
    'model', [{'blocks': 1, 'projection': 16}, {'blocks': 2, 'projection': 8}]
)
def test_a_projection_of_another_pooling_or_width_is_made_anew(model, pairs, tmp_path):
    first = train(recipe_of(pairs, 'contrastive', steps=3), tmp_path / 'first', progress=False)
    values = dataclasses.replace(
        recipe_of(pairs, 'contrastive'),
        weights=str(first),
        model={**model, 'global_feature': 'cls'},
    )
    with pytest.raises(WeightsError) if model['blocks'] > 1 else contextlib.nullcontext():
        _, given = make_network(values)  # one block was written: a second one is not to be had
        assert 'local.up1.weight' in given and 'projection.weight' not in given


def test_another_architecture_is_another_run(pairs, tmp_path):
    recipe = recipe_of(pairs, 'contrastive', steps=3)
    train(recipe, tmp_path / 'out', progress=False)
    plain = dataclasses.replace(recipe, model={'blocks': 1})
    with pytest.raises(ConfigError, match='projection: 16 then, 0 now'):
        train(plain, tmp_path / 'out', progress=False)


@pytest.mark.parametrize('values', [{'objective': 'paper'}, {'batch_size': 4, 'alike': 5}])
def test_groups_that_no_batch_can_hold_are_refused(values, pairs, tmp_path):
    recipe = recipe_of(pairs, 'contrastive', **values)
    with pytest.raises(ConfigError, match=r'TrainConfig\.alike'):
        make_trainer(recipe, tmp_path / 'out')
