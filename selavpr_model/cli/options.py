# SPDX-License-Identifier: MIT
"""Options of commands from the configurations: name, help, unit, range and default are theirs."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
import inspect
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from selavpr_model.config import (
    Config,
    EvaluationConfig,
    ExtractorConfig,
    KeyframeConfig,
    RecognizerConfig,
    ScoreConfig,
)
from selavpr_model.config.options import is_optional, problem_of
from selavpr_model.errors import ConfigError


class Fields:
    """`Annotated[SomeConfig, Fields('a', b='--flag')]`: these fields are options of a command."""

    def __init__(self, *names: str, **flags: str) -> None:
        self.flags: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
        self.flags |= {name: (flag,) for name, flag in flags.items()}

    def options(self, config: type[Config]) -> list[inspect.Parameter]:
        """Each field as a parameter that typer understands."""
        fields = {f.name: f for f in dataclasses.fields(config)}
        return [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=fields[name].default,
                annotation=Annotated[_kind(fields[name]), from_config(config, name, *flags)],
            )
            for name, flags in self.flags.items()
        ]


def with_configs(command: Callable[..., None]) -> Callable[..., None]:
    """A command for typer: its parameters with Fields become one option for each field."""
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[type[Config], Fields]] = {}
    for one in inspect.signature(command, eval_str=True).parameters.values():
        config, *rest = get_args(one.annotation) or (None,)
        fields = next((r for r in rest if isinstance(r, Fields)), None)
        if fields is None:
            parameters.append(one.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        else:
            groups[one.name] = config, fields
            parameters += fields.options(config)

    @functools.wraps(command)
    def run(**values: Any) -> None:
        configs = {
            name: config(**{field: values.pop(field) for field in fields.flags})
            for name, (config, fields) in groups.items()
        }
        command(**values, **configs)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def from_config(config: type[Config], name: str, *flags: str) -> Any:
    """An option with the help, unit and range of a configuration's field.

    A value outside of it is refused by the name of the option.
    """
    field = next(f for f in dataclasses.fields(config) if f.name == name)
    meta = field.metadata
    unit = f' ({meta["unit"]})' if meta['unit'] else ''
    choices = f': {" | ".join(map(str, meta["choices"]))}' if meta['choices'] else ''

    def check(param: typer.CallbackParam, value: Any) -> Any:
        problem = problem_of(field, value)
        if problem:
            raise ConfigError(f'{param.opts[0]}: {problem}')
        return value

    text = meta['help'].replace('`', '')  # a terminal shows no Markdown
    return typer.Option(*flags, help=f'{text}{unit}{choices}', callback=check)


def _kind(field: dataclasses.Field[Any]) -> Any:
    kind = field.metadata['kind']
    return kind | None if is_optional(field) else kind


def parse_size(text: str) -> tuple[int, int]:
    """`224` or `224x448` -> (height, width) in px; ConfigError for anything else."""
    parts = text.lower().split('x')
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise ConfigError(f'--size: expected N or HEIGHTxWIDTH such as 224x448, got {text!r}')
    return int(parts[0]), int(parts[-1])


_EXTRACTOR = ExtractorConfig()
SIZE = f'{_EXTRACTOR.image_height}x{_EXTRACTOR.image_width}'
Size = Annotated[
    str,
    typer.Option(help='input size of the network in px, such as 224 or 224x448 (height x width)'),
]
JsonOut = Annotated[
    Path | None, typer.Option('--json', help='JSON file to write the result and its settings to')
]
Candidates = Annotated[RecognizerConfig, Fields(candidates='--k')]
Computer = Annotated[ExtractorConfig, Fields('device', 'precision', 'threads')]
Model = Annotated[
    ExtractorConfig, Fields('weights', 'random_weights', 'device', 'precision', 'threads')
]
Network = Annotated[
    ExtractorConfig,
    Fields(
        'weights', 'random_weights', 'local_head', 'global_feature', 'blocks', 'final_norm',
    ),
]  # fmt: skip
WholeModel = Annotated[
    ExtractorConfig,
    Fields(
        'weights', 'random_weights', 'local_head', 'global_feature', 'blocks', 'final_norm',
        'resize', 'device', 'precision', 'threads',
    ),
]  # fmt: skip
Keyframes = Annotated[KeyframeConfig, Fields('distance_m', 'angle_deg', 'time_s')]
Tolerance = Annotated[ScoreConfig, Fields('position_m', 'heading_deg')]
Trust = Annotated[EvaluationConfig, Fields('absent', 'absent_seed', 'sequence')]


def sized(config: ExtractorConfig, size: str) -> ExtractorConfig:
    """With the input size of `--size`."""
    height, width = parse_size(size)
    return dataclasses.replace(config, image_height=height, image_width=width)
