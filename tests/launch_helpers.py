# SPDX-License-Identifier: MIT
"""Launch files, the RViz view and the example overrides, against the configuration and the node.

`launch` is not on PyPI. Its classes are replaced by ones that only keep what they were given;
where the real ones are there, the files are loaded with those, too.
"""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

from where import ROOT


class Kept:
    """An object of launch or launch_ros: remembers its arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs


class Keeper(ModuleType):
    """A module all of whose names are classes that keep their arguments."""

    __path__: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> type[Kept]:
        made = type(name, (Kept,), {})
        setattr(self, name, made)
        return made


def load(name: str) -> Any:
    """launch/<name>.launch.py as a module."""
    path = ROOT / 'launch' / f'{name}.launch.py'
    spec = importlib.util.spec_from_file_location(f'{name}_launch', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def values_of(module: Any, **given: str) -> dict[str, str]:
    """What context.launch_configurations holds for these arguments."""
    defaults = {a.args[0]: a.kwargs.get('default_value') for a in module.arguments()}
    assert set(given) <= set(defaults)
    values = defaults | given
    assert None not in values.values()
    return values
