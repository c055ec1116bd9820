# SPDX-License-Identifier: MIT
"""Learn adapters on a frozen backbone: one page for one process or many (torchrun).

Step k depends on the seed and k alone, and a checkpoint holds all that changes, so a run that was
stopped and resumed gives the weights of one that was not.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import logging
import math
from typing import Any

import numpy as np
import torch
from torch import nn, Tensor
from torch.nn.parallel import DistributedDataParallel

from selavpr_model.config import MiningConfig
from selavpr_model.config.training import TrainConfig
from selavpr_model.errors import ConfigError
from selavpr_model.features.checkpoint import (
    adapters_only,
    backbone_digest,
    Checkpoint,
    write_checkpoint,
)
from selavpr_model.features.network import SelaVPR
from selavpr_model.runtime import distributed
from selavpr_model.runtime.progress import progress_bar
from selavpr_model.training.batches import ahead, Batch, require_shares, split, Views
from selavpr_model.training.features import autocast, global_features
from selavpr_model.training.objectives import make_objective
from selavpr_model.training.optimiser import (
    choose_trained,
    learning_rate,
    make_optimizer,
    weighted,
)
from selavpr_model.training.run_folder import RunFiles
from selavpr_model.training.starts import start_local_head, whiten
from selavpr_model.training.validation import Validation

log = logging.getLogger(__name__)


class Trainer:
    """One run in a folder; `run` trains until the end, an early stop or `until`."""

    def __init__(
        self,
        network: SelaVPR,
        views: Views,
        config: TrainConfig,
        mining: MiningConfig,
        files: RunFiles,
        validation: Validation | None = None,
        meta: dict[str, Any] | None = None,
        new_projection: bool = False,
    ) -> None:
        """new_projection: the weights came without the network's projection, so whiten it."""
        self.config, self.mining, self.views, self.files = config, mining, views, files
        self.objective = make_objective(views, config, mining)
        self.validation, self.meta = validation, meta or {}
        self.network = network
        self.trained = choose_trained(network, config)
        network.backbone.checkpointing = config.checkpointing
        self.optimizer = make_optimizer(self.trained, config)
        self.scaler = torch.amp.GradScaler('cuda', enabled=config.precision == 'fp16')
        self.average = {k: p.detach().clone() for k, p in self.trained.items()}
        self.step, self.best, self.worse = 0, -math.inf, 0
        self.device = network.mean.device
        require_shares(config, distributed.world())
        if not self._resume():
            self._start(new_projection)
        several = distributed.world() > 1
        self.parallel: nn.Module = DistributedDataParallel(network) if several else network

    def _start(self, new_projection: bool) -> None:
        """What the heads begin with, from the training images."""
        if self.config.local_start == 'pca':
            start_local_head(self.network, self.views, self.config)
        if new_projection and self.network.projection is not None:
            count = len(self.views.files)
            rows = np.linspace(0, count - 1, min(count, self.config.whitening_images)).astype(int)
            pooled = global_features(self.network, self.views, rows.tolist(), self.config, True)
            whole = pooled[np.isfinite(pooled).all(axis=1)]
            whiten(self.network.projection, whole, self.config.whitening_shrinkage)
        self.average = {k: p.detach().clone() for k, p in self.trained.items()}

    def run(self, until: int | None = None, progress: bool = True) -> Checkpoint:
        """Train to the end, an early stop or step `until` and return the weights of that step."""
        # Several threads add gradients in any order otherwise, and a resumed run would differ.
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            return self._run(until, progress)
        finally:
            torch.use_deterministic_algorithms(False)

    def _run(self, until: int | None, progress: bool) -> Checkpoint:
        last = min(self.config.steps, until or self.config.steps)
        shown = progress and distributed.rank() == 0
        with progress_bar(
            None, 'train', shown, total=self.config.steps, initial=self.step, unit='step'
        ) as bar:
            while self.step < last and self.worse < self.config.patience:
                stop = min(last, self._next_pause())
                for batch in ahead(range(self.step, stop), self._batch):
                    values = self.learn(batch)
                    self.step += 1
                    self.files.log(self.step, distributed.mean(values))
                    bar.update()
                    bar.set_postfix({k: f'{v:.3f}' for k, v in values.items()}, refresh=False)
                self._pause(last)
        if self.views.failed:
            log.warning('%d images could not be read and were skipped', len(self.views.failed))
        return self.weights()

    def _next_pause(self) -> int:
        """The step before which no checkpoint, validation or search is due."""
        every = [self.config.checkpoint_every]
        if self.validation is not None:
            every.append(self.config.validate_every)
        stops = [(self.step // n + 1) * n for n in every]
        searched = self.objective.next_pause(self.step, self._features)
        return min(stops if searched is None else [*stops, searched])

    def _pause(self, last: int) -> None:
        due = self.step % self.config.validate_every == 0 or self.step == self.config.steps
        if self.validation is not None and due:
            self._validate(self.validation)
        stopped = self.step == last or self.worse >= self.config.patience
        if self.step % self.config.checkpoint_every == 0 or stopped:
            self._save()

    def _batch(self, step: int) -> Batch:
        return self.views.batch(step, self.objective.rows(step))

    def learn(self, batch: Batch) -> dict[str, float]:
        """One optimiser step; the losses, unweighted, and the rate."""
        rate = learning_rate(self.step, self.config)
        for group in self.optimizer.param_groups:
            group['lr'] = rate * group['factor']
        totals: dict[str, float] = {}
        parts = split(batch, self.config.accumulate)
        for part in parts:
            terms = self._losses(part)
            self.scaler.scale(weighted(terms, self.config) / len(parts)).backward()
            for name, term in terms.items():
                totals[name] = totals.get(name, 0.0) + term.item() / len(parts)
        self.scaler.unscale_(self.optimizer)
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(self.trained.values(), self.config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self._follow_average()
        return {**totals, 'rate': rate}

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        images = batch.images.to(self.device)
        places, count = images.shape[:2]
        with autocast(self.device, self.config.precision):
            global_, local, _ = self.parallel(images.flatten(0, 1))
        global_ = global_.unflatten(0, (places, count))
        local = local.unflatten(0, (places, count))
        return self.objective.losses(global_, local, batch)

    def _follow_average(self) -> None:
        """Early on the average follows quickly, or it would stay at the start."""
        decay = min(self.config.average, self.step / (self.step + 10))
        for name, value in self.trained.items():
            self.average[name].lerp_(value.detach(), 1 - decay)

    def _features(self, rows: Sequence[int]) -> np.ndarray:
        return global_features(self.network, self.views, rows, self.config)

    def _validate(self, validation: Validation) -> None:
        """Keep the best by re-ranked R@5; count validations without a better one."""
        if distributed.rank() == 0:
            scores = validation.measure(self.weights())
            self.files.validated(self.step, scores)
            value = validation.score(scores)
            if value > self.best:
                self.best, self.worse = value, 0
                self._write('best.safetensors')
            else:
                self.worse += 1
        self.best, self.worse = distributed.broadcast((self.best, self.worse))

    def weights(self) -> Checkpoint:
        """All tensors, the trained ones averaged where an average is kept."""
        tensors = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        if self.config.average:
            tensors |= {k: v.clone() for k, v in self.average.items()}
        return Checkpoint(self.network.config, tensors, {**self.meta, 'steps': self.step})

    def _write(self, name: str) -> None:
        weights = self.weights()
        whole = self.config.train_backbone
        write_checkpoint(self.files.folder / name, weights if whole else adapters_only(weights))

    def _save(self) -> None:
        if distributed.rank() == 0:
            self.files.save_state(
                {
                    'step': self.step,
                    'best': self.best,
                    'worse': self.worse,
                    'trained': {k: p.detach() for k, p in self.trained.items()},
                    'average': self.average,
                    'optimizer': self.optimizer.state_dict(),
                    'scaler': self.scaler.state_dict(),
                    'objective': self.objective.state(),
                    'backbone': self._backbone(),
                    'config': self.settings(),
                }
            )
            self._write('last.safetensors')
        distributed.barrier()

    def settings(self) -> dict[str, Any]:
        """All that decides what is learned, flat; a resumed run must have the same."""
        parts = {
            'model': dataclasses.asdict(self.network.config),
            'augment': self.views.augment.to_dict(),
            'mining': self.mining.to_dict(),
            'data': {'protocol': self.views.data.protocol, 'images': len(self.views.files)},
        }
        flat = {f'{part}.{k}': v for part, values in parts.items() for k, v in values.items()}
        return {**dataclasses.asdict(self.config), **flat}

    def _backbone(self) -> str:
        return backbone_digest(self.network.state_dict())

    def _resume(self) -> bool:
        state = self.files.load_state(self.settings())
        if state is None:
            return False
        if state['backbone'] != self._backbone() and not self.config.train_backbone:
            raise ConfigError(
                f'{self.files.folder}: begun on another backbone; use its weights or a new --out'
            )
        self.step, self.best, self.worse = state['step'], state['best'], state['worse']
        with torch.no_grad():
            for name, value in self.trained.items():
                value.copy_(state['trained'][name])
        self.average = {k: v.to(self.device) for k, v in state['average'].items()}
        self.optimizer.load_state_dict(state['optimizer'])
        self.scaler.load_state_dict(state['scaler'])
        self.objective.restore(state['objective'], self.device)
        log.info('resumed at step %d', self.step)
        return True
