# SPDX-License-Identifier: MIT
"""What a configuration is: frozen, described field by field, checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from dataclasses import dataclass, field, fields
import difflib
import math
from typing import Any, TypeVar

from selavpr_model.errors import ConfigError

T = TypeVar('T', bound='Config')


def option(
    default: Any,
    help: str,
    *,
    unit: str = '',
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] = (),
    parts: str = '',
    kind: type | None = None,
) -> Any:
    """A dataclass field with its help text, unit, inclusive range or list of choices.

    parts: what the numbers of a tuple are. kind: the type of a field whose default is None; such
    a field may be None.
    """
    meta = {
        'help': help, 'unit': unit, 'low': low, 'high': high, 'choices': choices, 'parts': parts,
        'kind': type(default) if kind is None else kind,
    }  # fmt: skip
    return field(default=default, metadata=meta)


@dataclass(frozen=True, slots=True)
class Config:
    """Base of all configurations: checked on construction, unknown keys are named."""

    def __post_init__(self) -> None:
        for f in fields(self):
            check_value(f, getattr(self, f.name), type(self).__name__)

    @classmethod
    def from_dict(cls: type[T], values: Mapping[str, Any]) -> T:
        """Build from a mapping; an unknown key raises ConfigError with the nearest valid name."""
        names = [f.name for f in fields(cls)]
        for key in values:
            if key not in names:
                near = difflib.get_close_matches(key, names, 1)
                hint = f'did you mean {near[0]!r}?' if near else f'valid: {", ".join(names)}'
                raise ConfigError(f'{cls.__name__}: unknown key {key!r}; {hint}')
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def like(other: type[Config], name: str, help: str) -> Any:
    """A dataclass field as that of another configuration, with a help text of its own."""
    f = other.__dataclass_fields__[name]
    return field(default=f.default, metadata={**f.metadata, 'help': help})


def check_value(f: dataclasses.Field[Any], value: Any, owner: str) -> None:
    """Raise ConfigError unless `value` has the default's type and lies in the field's range."""
    problem = problem_of(f, value)
    if problem:
        raise ConfigError(f'{owner}.{f.name}: {problem}')


def problem_of(f: dataclasses.Field[Any], value: Any) -> str:
    """What was expected and what came, where the field cannot have this value; else empty."""
    if value is None and is_optional(f):
        return ''
    if not _is_kind(value, f.metadata['kind'], _example(f)):
        return f'expected {_kind(f)}, got {value!r}'
    choices = f.metadata['choices']
    if choices and value not in choices:
        return f'expected one of {", ".join(map(str, choices))}; got {value!r}'
    numbers = value if isinstance(value, tuple) else (value,)
    return next(filter(None, (_out_of_range(f, number) for number in numbers)), '')


def is_optional(f: dataclasses.Field[Any]) -> bool:
    """Whether the field may be None: its default is, and its metadata name its type."""
    return f.default is None and f.metadata['kind'] is not type(None)


def _example(f: dataclasses.Field[Any]) -> Any:
    """The default; of a tuple that may be None, as many floats as it has parts."""
    if f.default is None and f.metadata['kind'] is tuple:
        return (0.0,) * len(f.metadata['parts'].split(','))
    return f.default


def _kind(f: dataclasses.Field[Any]) -> str:
    text = f.metadata['kind'].__name__
    if f.metadata['kind'] is tuple:
        text = f'{len(_example(f))} numbers {f.metadata["parts"]}'.strip()
    return text + (' or null' if is_optional(f) else '')


def _is_kind(value: Any, kind: type, example: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, float | int)
    if kind is tuple:
        if not isinstance(value, tuple) or len(value) != len(example):
            return False
        return all(_is_kind(v, type(e), e) for v, e in zip(value, example, strict=True))
    return isinstance(value, kind)


def _out_of_range(f: dataclasses.Field[Any], value: Any) -> str:
    low, high = f.metadata['low'], f.metadata['high']
    if isinstance(value, str | bool):
        return ''
    below = low is not None and not value >= low
    if below or (high is not None and not value <= high) or math.isnan(value):
        unit = f' {f.metadata["unit"]}' if f.metadata['unit'] else ''
        span = f'{"-inf" if low is None else low} to {"inf" if high is None else high}{unit}'
        return f'expected {span}; got {value}'
    return ''
