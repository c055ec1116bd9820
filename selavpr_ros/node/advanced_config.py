# SPDX-License-Identifier: MIT
"""The YAML file of the parameter advanced_config: all settings that are no ROS parameters."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import difflib
import json
from pathlib import Path
from typing import Any

import yaml

from selavpr_model.config import Config
from selavpr_model.errors import ConfigError
from selavpr_model.runtime.paths import expanded
from selavpr_model.runtime.shown import one_line, shown
from selavpr_ros.config import (
    GROUPS,
    is_advanced,
    NODE_SECTION,
    NOT_OF_THE_NODE,
    parameter_name,
)

MOST_BYTES = 1 << 16  # a file of all settings has a tenth; YAML takes 10 s for a megabyte
MOST_OF_A_KEY = 100  # characters
SECTIONS = {prefix or NODE_SECTION: prefix for prefix in GROUPS}
"""Section of the file -> prefix in GROUPS."""


def read(path: str) -> dict[str, dict[str, Any]]:
    """Prefix -> values of the file, checked; '' is no file. ConfigError names file and key."""
    if not path:
        return {}
    try:
        return {SECTIONS[name]: values for name, values in _sections(path).items()}
    except ConfigError as error:
        raise ConfigError(f'advanced_config {path}: {error}') from error


def _sections(path: str) -> dict[str, dict[str, Any]]:
    document = _document(path)
    for name, values in document.items():
        if name not in SECTIONS:
            raise ConfigError(
                f'unknown section {shown(name)}; {_nearest(str(name), list(SECTIONS))}'
            )
        if not isinstance(values, dict):
            raise ConfigError(f'{name}: expected keys with values, got {shown(values)}')
        _check(SECTIONS[name], name, values)
    return {name: _as_tuples(values) for name, values in document.items()}


def _document(path: str) -> dict[Any, Any]:
    try:
        document = yaml.safe_load(_text(expanded(path)))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f'cannot be read: {one_line(" ".join(str(error).split()))}') from error
    if not isinstance(document, dict | None):
        raise ConfigError(f'expected sections {", ".join(SECTIONS)}, got {shown(document)}')
    return document or {}  # all comments


def _text(path: Path) -> str:
    """A FIFO or device would hold the node up, or never end."""
    if path.exists() and not path.is_file():
        raise OSError('expected a file, got something else')
    with path.open('rb') as file:
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise OSError(f'expected at most {MOST_BYTES} bytes')
    return raw.decode()


def _check(prefix: str, section: str, values: Mapping[Any, Any]) -> None:
    """Raise for a key that is none or is set elsewhere, and for a value that does not fit."""
    fields = [f.name for f in dataclasses.fields(GROUPS[prefix])]
    for key in values:
        name = parameter_name(prefix, str(key))
        if key not in fields:
            names = [field for field in fields if is_advanced(prefix, field)]
            raise ConfigError(f'{section}: unknown key {shown(key)}; {_nearest(str(key), names)}')
        if name in NOT_OF_THE_NODE:
            raise ConfigError(f'{name} has no effect in the node; remove it')
        if not is_advanced(prefix, key):
            raise ConfigError(
                f'{name} is a ROS parameter; set it in params_file or with `ros2 param set`'
            )
    GROUPS[prefix].from_dict(values)


def _nearest(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name[:MOST_OF_A_KEY], names, 1)
    return f'did you mean {near[0]!r}?' if near else f'valid: {", ".join(names)}'


def _as_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def applied(configs: Mapping[str, Config], path: str) -> dict[str, Config]:
    """The configs with the advanced fields as the file says, else with their defaults."""
    sections = read(path)
    result = {}
    for prefix, config in configs.items():
        default = GROUPS[prefix]()
        values = {
            f.name: getattr(default, f.name)
            for f in dataclasses.fields(default)
            if is_advanced(prefix, f.name)
        }
        result[prefix] = dataclasses.replace(config, **(values | sections.get(prefix, {})))
    return result


def split(configs: Mapping[str, Config]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Configs by prefix -> ROS parameters by name, and the sections of an advanced file."""
    parameters: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    for prefix, config in configs.items():
        for field, value in config.to_dict().items():
            name = parameter_name(prefix, field)
            if is_advanced(prefix, field):
                sections.setdefault(prefix or NODE_SECTION, {})[field] = value
            elif name not in NOT_OF_THE_NODE and value is not None:  # a parameter cannot be null
                parameters[name] = value
    return parameters, sections


def write(path: Path, sections: Mapping[str, Mapping[str, Any]]) -> None:
    """A file that `read` takes; JSON is YAML."""
    path.write_text(json.dumps(sections, indent=2), encoding='utf-8')
