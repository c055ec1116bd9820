# SPDX-License-Identifier: MIT
"""Which files somebody on the network may have this node read or write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import os
from pathlib import Path

from selavpr_model.errors import ConfigError, InputError, MapError
from selavpr_model.runtime.paths import expanded
from selavpr_model.runtime.shown import shown
from selavpr_ros.node.pipeline.request import rescued

MAPS_ROOT = 'maps_root'
PATHS = ('map', 'advanced_config', 'extractor.weights')


class OutsideError(MapError):
    """The path is outside maps_root, or goes through a link."""

    code = 'INVALID_METADATA'


class Roots:
    """Folders that were named when the node was started, by whoever started it.

    maps_root, and the folder of the map. Files may also be read that lie beside the weights and
    the advanced_config of that time.
    """

    def __init__(self, given: Mapping[str, object]) -> None:
        """given: parameters as the node was started with."""
        names = {name: str(given.get(name) or '') for name in (MAPS_ROOT, *PATHS)}
        self._maps = [*_folders([names[MAPS_ROOT], names['map']]), *_own()]
        weights = names['extractor.weights']
        files = [names['advanced_config'], weights if _is_path(weights) else '']
        self._files = [*self._maps, *(folder.parent for folder in _folders(files))]

    def map_folder(self, path: str) -> Path:
        """Where a map may be read and written; OutsideError with the cure elsewhere."""
        return _inside(path, self._maps, 'map')

    def refusal(self, name: str, value: object) -> str | None:
        """Why a parameter may not have this value at run time; None where it may."""
        if not value or name not in PATHS:
            return None
        try:
            if name == 'map':
                self.map_folder(str(value))
            elif name == 'advanced_config' or _is_path(str(value)):
                _inside(str(value), self._files, name)
        except (OutsideError, InputError) as error:
            return str(error)
        return None


def _folders(paths: Iterable[str]) -> list[Path]:
    """As they really are, without those that cannot be."""
    folders = []
    for path in filter(None, paths):
        try:
            folders.append(expanded(path).resolve())
        except (ConfigError, InputError, OSError, RuntimeError):  # the load says what is wrong
            continue
    return folders


def _own() -> list[Path]:
    """Where the node puts a grown map that has no other place."""
    try:
        return [rescued().resolve()]
    except (ImportError, OSError, RuntimeError):  # no torch, no home: it will be said elsewhere
        return []


def _is_path(weights: str) -> bool:
    """Whether it is no name of known weights."""
    return '/' in weights or weights.startswith(('~', '.')) or os.path.lexists(weights)


def _inside(path: str, folders: list[Path], what: str) -> Path:
    try:
        plain = expanded(path).absolute()
        real = plain.resolve()
    except (OSError, RuntimeError) as error:  # a circle of links, a name that is too long
        raise OutsideError(f'{what}: {shown(path)} cannot be looked at: {error}') from error
    root = next((folder for folder in folders if real.is_relative_to(folder)), None)
    if root is None:
        allowed = ', '.join(map(str, folders))
        raise OutsideError(
            f'{what}: expected a path below {allowed}; got {shown(path)}; start the node with '
            'the parameter maps_root: FOLDER (params_file) to allow another one'
        )
    for part in (plain, *plain.parents):
        if part.is_symlink() and part.parent.resolve().is_relative_to(root):
            raise OutsideError(
                f'{what}: {shown(path)} goes through the link {part}; name the folder'
            )
    return real
