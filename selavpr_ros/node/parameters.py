# SPDX-License-Identifier: MIT
"""Config fields <-> ROS parameters: one parameter a field, described, ranged and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import difflib
import sys
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from selavpr_model.config import (
    Config,
    ExtractorConfig,
    GeometryConfig,
    KeyframeConfig,
    RecognizerConfig,
    SlamConfig,
    TemporalConfig,
)
from selavpr_model.errors import ConfigError, InputError
from selavpr_ros.config import GROUPS, NodeConfig
from selavpr_ros.convert.from_ros import checked_pose

PREFIXES = ('', 'extractor', 'recognizer', 'temporal', 'geometry', 'slam', 'keyframes')
"""The groups of GROUPS the node uses."""

READ_ONLY = frozenset({'autostart'})
INT64 = (-(2**63), 2**63 - 1)


def parameter_name(prefix: str, field: str) -> str:
    return f'{prefix}.{field}' if prefix else field


def descriptor(prefix: str, field: dataclasses.Field[Any]) -> ParameterDescriptor:
    """Help text with unit, range and choices of one config field."""
    meta = field.metadata
    unit = f' [{meta["unit"]}]' if meta['unit'] else ''
    made = ParameterDescriptor(
        name=parameter_name(prefix, field.name),
        description=meta['help'] + unit,
        additional_constraints=_constraints(field),
        read_only=parameter_name(prefix, field.name) in READ_ONLY,
        # Types are checked by the config class, which takes `1` for a float and says more.
        dynamic_typing=True,
    )
    if meta['low'] is None and meta['high'] is None:
        return made
    if isinstance(field.default, int):
        made.integer_range = [IntegerRange(**_span(meta, *INT64))]
    elif isinstance(field.default, float):
        limit = sys.float_info.max
        made.floating_point_range = [FloatingPointRange(**_span(meta, -limit, limit))]
    return made


def _span(meta: Mapping[str, Any], lowest: float, highest: float) -> dict[str, Any]:
    low, high = meta['low'], meta['high']
    return {
        'from_value': lowest if low is None else low,
        'to_value': highest if high is None else high,
    }


def _constraints(field: dataclasses.Field[Any]) -> str:
    if field.metadata['choices']:
        return 'one of ' + ', '.join(map(str, field.metadata['choices']))
    if isinstance(field.default, tuple):
        return f'{len(field.default)} numbers'
    return ''


class Parameters:
    """The node's parameters as config objects, always valid.

    `problems` holds what was given at start and cannot be used (name -> reason): the node must not
    run with something else in its place. Setting the parameter to a good value clears it.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self.problems: dict[str, str] = {}
        self._configs: dict[str, Config] = {p: GROUPS[p]() for p in PREFIXES}
        for prefix in PREFIXES:
            for field in dataclasses.fields(GROUPS[prefix]):
                self._declare(prefix, field)

    @property
    def node(self) -> NodeConfig:
        return self._configs['']  # type: ignore[return-value]

    @property
    def extractor(self) -> ExtractorConfig:
        return self._configs['extractor']  # type: ignore[return-value]

    @property
    def recognizer(self) -> RecognizerConfig:
        return self._configs['recognizer']  # type: ignore[return-value]

    @property
    def temporal(self) -> TemporalConfig:
        return self._configs['temporal']  # type: ignore[return-value]

    @property
    def geometry(self) -> GeometryConfig:
        return self._configs['geometry']  # type: ignore[return-value]

    @property
    def slam(self) -> SlamConfig:
        return self._configs['slam']  # type: ignore[return-value]

    @property
    def keyframes(self) -> KeyframeConfig:
        return self._configs['keyframes']  # type: ignore[return-value]

    def on_change(self, callback: Callable[[frozenset[str]], None]) -> None:
        """Call back with the names that were set, after each accepted change."""

        def apply(parameters: list[Parameter]) -> SetParametersResult:
            try:
                self._configs = self._with(parameters)
            except ConfigError as error:
                return SetParametersResult(successful=False, reason=str(error))
            for p in parameters:
                self.problems.pop(p.name, None)
            callback(frozenset(p.name for p in parameters))
            return SetParametersResult(successful=True)

        self._node.add_on_set_parameters_callback(apply)

    def refusal(self, parameters: Iterable[Parameter]) -> str:
        """Why these values cannot be set; '' when they can."""
        try:
            self._with(parameters)
        except ConfigError as error:
            return str(error)
        return ''

    def unknown(self, given: Iterable[str]) -> list[str]:
        """One line for each given name in our groups that is no parameter (a typo, mostly)."""
        known = [
            parameter_name(prefix, field.name)
            for prefix, config in GROUPS.items()
            for field in dataclasses.fields(config)
        ]
        lines = []
        for name in given:
            if name not in known and not self._node.has_parameter(name):
                near = difflib.get_close_matches(name, known, 1)
                hint = f'did you mean {near[0]!r}?' if near else 'see `ros2 param list`'
                lines.append(f'parameter {name!r} does not exist and is ignored; {hint}')
        return [line for line in lines if 'qos_overrides' not in line]

    def _with(self, parameters: Iterable[Parameter]) -> dict[str, Config]:
        """The configs with these values in place; ConfigError when one is bad."""
        configs = dict(self._configs)
        for parameter in parameters:
            prefix, _, field = parameter.name.rpartition('.')
            if prefix not in configs or not hasattr(configs[prefix], field):
                continue  # use_sim_time and the like belong to rclpy
            configs[prefix] = _replaced(configs[prefix], field, parameter.value)
        return configs

    def _declare(self, prefix: str, field: dataclasses.Field[Any]) -> None:
        name = parameter_name(prefix, field.name)
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        # Declared without its range first: out of it rclpy would raise and the node would be gone.
        plain = ParameterDescriptor(dynamic_typing=True)
        value = self._node.declare_parameter(name, default, plain).value
        try:
            self._configs[prefix] = _replaced(self._configs[prefix], field.name, value)
        except ConfigError as error:
            self.problems[name] = str(error)
            self._node.set_parameters([Parameter(name, value=default)])
        self._node.set_descriptor(name, descriptor(prefix, field))


def _replaced(config: Config, field: str, value: Any) -> Config:
    """The config with one field set from a parameter's value; ConfigError when it is bad."""
    default = getattr(type(config)(), field)
    if isinstance(default, tuple) and isinstance(value, Sequence) and not isinstance(value, str):
        value = tuple(float(v) if type(v) is int else v for v in value)
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    changed: Config = dataclasses.replace(config, **{field: value})
    if field == 'base_camera':
        _check_pose(changed)
    return changed


def _check_pose(config: Any) -> None:
    try:
        checked_pose(config.base_camera)
    except InputError as error:
        raise ConfigError(f'NodeConfig.base_camera: {error}') from error
