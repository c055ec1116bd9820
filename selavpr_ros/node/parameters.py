# SPDX-License-Identifier: MIT
"""Config fields <-> ROS parameters: described, ranged and checked; the rest from a file."""

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
    GraphConfig,
    KeyframeConfig,
    MapConfig,
    RecognizerConfig,
    SlamConfig,
    TemporalConfig,
    UpdateConfig,
)
from selavpr_model.config.options import is_optional
from selavpr_model.errors import ConfigError, InputError
from selavpr_ros.config import (
    GROUPS,
    is_advanced,
    NODE_SECTION,
    NodeConfig,
    parameter_name,
    ROS_PARAMETERS,
)
from selavpr_ros.convert.from_ros import checked_pose
from selavpr_ros.node import advanced_config
from selavpr_ros.node.roots import Roots

READ_ONLY = frozenset({'autostart', 'maps_root', 'services_off'})
INT64 = (-(2**63), 2**63 - 1)


def descriptor(prefix: str, field: dataclasses.Field[Any]) -> ParameterDescriptor:
    """Help text with unit, range and choices of one config field."""
    meta = field.metadata
    unit = f' [{meta["unit"]}]' if meta['unit'] else ''
    description = ParameterDescriptor(
        name=parameter_name(prefix, field.name),
        description=meta['help'] + unit,
        additional_constraints=_constraints(field),
        read_only=parameter_name(prefix, field.name) in READ_ONLY,
        # Types are checked by the config class, which takes `1` for a float and says more.
        dynamic_typing=True,
    )
    if meta['low'] is None and meta['high'] is None:
        return description
    if field.metadata['kind'] is int:
        description.integer_range = [IntegerRange(**_span(meta, *INT64))]
    elif field.metadata['kind'] is float:
        limit = sys.float_info.max
        description.floating_point_range = [FloatingPointRange(**_span(meta, -limit, limit))]
    return description


def _span(meta: Mapping[str, Any], lowest: float, highest: float) -> dict[str, Any]:
    low, high = meta['low'], meta['high']
    return {
        'from_value': lowest if low is None else low,
        'to_value': highest if high is None else high,
    }


def _constraints(field: dataclasses.Field[Any]) -> str:
    if field.metadata['choices']:
        return 'one of ' + ', '.join(map(str, field.metadata['choices']))
    return str(field.metadata['parts'])


class Parameters:
    """The node's parameters as config objects, always valid.

    `problems` holds what was given at start and cannot be used (name -> reason): the node must not
    run with something else in its place. Setting the parameter to a good value clears it.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self.problems: dict[str, str] = {}
        self.cost_refusal: Callable[[Any, Any], str | None] = lambda before, after: None
        self._given: dict[str, Any] = {}  # what the node was started with, good or bad
        self._configs: dict[str, Config] = {prefix: GROUPS[prefix]() for prefix in GROUPS}
        for name in ROS_PARAMETERS:
            prefix, _, field = name.rpartition('.')
            self._declare(prefix, GROUPS[prefix].__dataclass_fields__[field])
        self.roots = Roots(self._given)

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
    def graph(self) -> GraphConfig:
        return self._configs['graph']  # type: ignore[return-value]

    @property
    def keyframes(self) -> KeyframeConfig:
        return self._configs['keyframes']  # type: ignore[return-value]

    @property
    def storage(self) -> MapConfig:
        return self._configs['storage']  # type: ignore[return-value]

    @property
    def update(self) -> UpdateConfig:
        return self._configs['update']  # type: ignore[return-value]

    def on_change(self, callback: Callable[[frozenset[str]], None]) -> None:
        """Call back after each accepted change, with the names that were set and, of the advanced
        settings, those that changed.
        """

        def apply(parameters: list[Parameter]) -> SetParametersResult:
            before = self._configs
            if refusal := self.refusal(parameters):
                return SetParametersResult(successful=False, reason=refusal)
            try:
                self._configs = self._with(parameters)
            except ConfigError as error:
                return SetParametersResult(successful=False, reason=str(error))
            for p in parameters:
                self.problems.pop(p.name, None)
            callback(frozenset(p.name for p in parameters) | _changes(before, self._configs))
            return SetParametersResult(successful=True)

        self._node.add_on_set_parameters_callback(apply)

    def refusal(self, parameters: Sequence[Parameter]) -> str | None:
        """Why these values cannot be set; None when they can."""
        for p in parameters:  # before a file of that name is read
            if refusal := self.roots.refusal(p.name, p.value):
                return refusal
        try:
            configs = self._with(parameters)
        except ConfigError as error:
            return str(error)
        return self.cost_refusal(self.extractor, configs['extractor'])

    def unknown(self, names: Iterable[str]) -> list[str]:
        """One line for each given name that is no parameter (a typo, mostly)."""
        return [
            f'parameter {name!r} does not exist and is ignored; {_cure(name)}'
            for name in names
            if not self._node.has_parameter(name) and 'qos_overrides' not in name
        ]

    def _with(self, parameters: Iterable[Parameter]) -> dict[str, Config]:
        """The configs with these values in place; ConfigError when one is bad."""
        configs = dict(self._configs)
        for parameter in parameters:
            prefix, _, field = parameter.name.rpartition('.')
            if parameter.name not in ROS_PARAMETERS:
                continue  # use_sim_time and the like belong to rclpy
            configs[prefix] = _replaced(configs[prefix], field, parameter.value)
            if parameter.name == 'advanced_config':
                configs = advanced_config.applied(configs, str(parameter.value))
        return configs

    def _declare(self, prefix: str, field: dataclasses.Field[Any]) -> None:
        name = parameter_name(prefix, field.name)
        default: Any = [] if field.default is None else field.default
        # Declared without its range first: out of it rclpy would raise and the node would be gone.
        plain = ParameterDescriptor(dynamic_typing=True)
        value = self._node.declare_parameter(name, default, plain).value
        self._given[name] = value
        try:
            self._configs = self._with([Parameter(name, value=value)])
        except ConfigError as error:
            self.problems[name] = str(error)
            self._node.set_parameters([Parameter(name, value=default)])
        self._node.set_descriptor(name, descriptor(prefix, field))


def _changes(before: Mapping[str, Config], after: Mapping[str, Config]) -> frozenset[str]:
    """Names of the fields that differ."""
    return frozenset(
        parameter_name(prefix, f.name)
        for prefix, config in after.items()
        for f in dataclasses.fields(config)
        if getattr(config, f.name) != getattr(before[prefix], f.name)
    )


def _cure(name: str) -> str:
    """What may have been meant by a name that is no ROS parameter."""
    prefix, _, key = name.rpartition('.')
    fields = GROUPS[prefix].__dataclass_fields__ if prefix in GROUPS else {}
    if key in fields and is_advanced(prefix, key):
        section = prefix or NODE_SECTION
        return f'it belongs into section {section!r} of the file of the parameter advanced_config'
    near = difflib.get_close_matches(name, ROS_PARAMETERS, 1)
    return f'did you mean {near[0]!r}?' if near else 'see `ros2 param list`'


def _replaced(config: Config, field: str, value: Any) -> Config:
    """The config with one field set from a parameter's value; ConfigError when it is bad."""
    f = config.__dataclass_fields__[field]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        value = tuple(float(v) if type(v) is int else v for v in value)
    if is_optional(f) and (value == () or value == b''):
        value = None  # a parameter cannot be null
    elif value is None:
        raise ConfigError(f'{type(config).__name__}.{field}: expected a value, got none')
    if f.metadata['kind'] is float and type(value) is int:
        value = float(value)
    changed: Config = dataclasses.replace(config, **{field: value})
    if field == 'base_camera' and value is not None:
        _check_pose(changed)
    return changed


def _check_pose(config: Any) -> None:
    try:
        checked_pose(config.base_camera)
    except InputError as error:
        raise ConfigError(f'NodeConfig.base_camera: {error}') from error
