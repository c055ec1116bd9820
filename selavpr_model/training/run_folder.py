# SPDX-License-Identifier: MIT
"""What a training run leaves in its folder: config, git state, logs, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
import csv
import logging
import os
from pathlib import Path
import subprocess
from typing import Any

import torch
import yaml

from selavpr_model.errors import ConfigError, WeightsError
from selavpr_model.runtime.paths import PACKAGE
from selavpr_model.training.plot import draw_training

log = logging.getLogger(__name__)


class RunFiles:
    """state.pt (to resume), log.csv, validation.csv, config.yaml, git.txt, TensorBoard events.

    Only the process that `writes` touches them.
    """

    def __init__(self, folder: Path, writes: bool = True) -> None:
        self.folder, self.writes = folder, writes
        self._board: Any = None
        if writes:
            folder.mkdir(parents=True, exist_ok=True)

    def describe(self, config: Mapping[str, Any]) -> None:
        """The configuration in full and the state of the source, beside the result."""
        if not self.writes:
            return
        (self.folder / 'config.yaml').write_text(yaml.safe_dump(dict(config), sort_keys=False))
        (self.folder / 'git.txt').write_text(git_state())

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._write('log.csv', 'train', step, values)

    def validated(self, step: int, scores: Mapping[str, float]) -> None:
        log.info('step %d: %s', step, ', '.join(f'{k} {v:.1f}' for k, v in scores.items()))
        self._write('validation.csv', 'validation', step, scores)
        if self.writes:
            draw_training(self.folder)

    def _write(self, name: str, group: str, step: int, values: Mapping[str, float]) -> None:
        if not self.writes:
            return
        path = self.folder / name
        new = not path.exists()
        with path.open('a', newline='') as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(['step', *values])
            writer.writerow([step, *(f'{v:.6g}' for v in values.values())])
        if self._board is None:
            self._board = tensorboard(self.folder)
        for key, value in values.items():
            self._board.add_scalar(f'{group}/{key}', value, step)

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Atomic: a kill leaves the state before or this one."""
        part = self.folder / 'state.pt.part'
        torch.save(dict(state), part)
        with part.open('rb') as file:
            os.fsync(file.fileno())
        part.replace(self.folder / 'state.pt')

    def load_state(self, config: Mapping[str, Any]) -> dict[str, Any] | None:
        """The state to go on from, or None; ConfigError when it is another configuration's."""
        path = self.folder / 'state.pt'
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location='cpu', weights_only=True)
        except Exception as error:  # torch raises many types for a bad file
            raise WeightsError(f'{path}: damaged ({error}); delete it to start again') from error
        was = state['config']
        other = [k for k in config if k in was and was[k] != config[k] and k not in MAY_CHANGE]
        if other:
            differences = ', '.join(f'{k}: {was[k]} then, {config[k]} now' for k in other)
            raise ConfigError(
                f'{path}: begun with other settings ({differences}); use a new --out'
            )
        self._forget_after(int(state['step']))
        return state

    def _forget_after(self, step: int) -> None:
        """Drop log rows of steps that will be taken again."""
        for name in ('log.csv', 'validation.csv'):
            path = self.folder / name
            if self.writes and path.exists():
                head, *rows = path.read_text().splitlines()
                kept = [row for row in rows if int(row.split(',')[0]) <= step]
                path.write_text('\n'.join([head, *kept]) + '\n')


MAY_CHANGE = ('checkpoint_every', 'patience', 'cache_px', 'cache_mb')
"""Settings that do not change what is learned."""


class _NoBoard:
    def add_scalar(self, *_: object) -> None:
        """Nothing."""


def tensorboard(folder: Path) -> Any:
    """A TensorBoard writer, or one that writes nothing where tensorboardX is not installed."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        log.warning(
            "no TensorBoard log: pip install 'selavpr[train]'; log.csv has the same numbers"
        )
        return _NoBoard()
    return SummaryWriter(str(folder / 'tensorboard'))


def git_state() -> str:
    """The commit and what differs from it, or why that is not known."""
    try:
        out = [
            subprocess.run(
                ['git', *command],
                cwd=PACKAGE,
                capture_output=True,
                text=True,
                check=True,
                timeout=30,
            ).stdout
            for command in (['rev-parse', 'HEAD'], ['status', '--short'], ['diff', 'HEAD'])
        ]
    except (OSError, subprocess.SubprocessError) as error:
        return f'not known: {error}\n'
    return '\n'.join(out)
