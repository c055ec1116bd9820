# SPDX-License-Identifier: MIT
"""The views of RViz and Foxglove, against what the node publishes and its messages' fields."""

from __future__ import annotations

from collections.abc import Iterator
import importlib
import json
import re
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
import pytest
from rcl_interfaces.msg import Log
from rosidl_parser.definition import BoundedSequence, NamespacedType, UnboundedSequence
from selavpr.msg import LocalizerStatus
import yaml

from selavpr_ros.node.outputs import GATED

from where import ROOT

RVIZ = yaml.safe_load((ROOT / 'config' / 'selavpr.rviz').read_text())
FOXGLOVE = json.loads((ROOT / 'config' / 'selavpr_foxglove.json').read_text())
PUBLISHED: dict[str, Any] = {
    '/localizer/status': LocalizerStatus,
    '/diagnostics': DiagnosticArray,
    '/rosout': Log,
    **{
        topic.replace('~', '/localizer') if topic[0] in '~/' else f'/{topic}': kind
        for kind, topic, _ in GATED.values()
    },
}


def panels(kind: str) -> list[Any]:
    """The settings of all panels of one kind."""
    found = FOXGLOVE['configById'].items()
    return [panel for name, panel in found if name.partition('!')[0] == kind]


def leaves(tree: Any) -> Iterator[str]:
    """The panels that a layout shows."""
    if isinstance(tree, str):
        yield tree
    else:
        assert tree['direction'] in ('row', 'column')
        yield from (*leaves(tree['first']), *leaves(tree['second']))


def field_type(path: str) -> str:
    """The type that a path such as /topic.field[0].name names; KeyError where there is none."""
    topic, *names = path.split('.')
    kind = PUBLISHED[topic]
    for name in names:
        bare, is_element = re.subn(r'\[\d+\]$', '', name)
        slot = dict(zip(kind.get_fields_and_field_types(), kind.SLOT_TYPES, strict=True))[bare]
        is_list = isinstance(slot, (BoundedSequence, UnboundedSequence))
        assert is_list == bool(is_element), path
        slot = slot.value_type if is_list else slot
        if not isinstance(slot, NamespacedType):
            return str(slot.typename)
        kind = getattr(importlib.import_module('.'.join(slot.namespaces)), slot.name)
    raise AssertionError(f'{path} is a message')


def test_rviz_shows_topics_that_the_node_publishes() -> None:
    displays = RVIZ['Visualization Manager']['Displays']
    shown = {display['Topic']['Value'] for display in displays if 'Topic' in display}
    assert shown == {f'/localizer/{name}' for name in ('markers', 'pose', 'debug_image')}
    assert shown <= set(PUBLISHED)


def test_foxglove_shows_each_of_its_panels_once() -> None:
    shown = list(leaves(FOXGLOVE['layout']))
    assert sorted(shown) == sorted(FOXGLOVE['configById']) and len(set(shown)) == len(shown)


def test_foxglove_shows_topics_that_the_node_publishes() -> None:
    (scene,), (match,) = panels('3D'), panels('Image')
    topics = [name for name, shown in scene['topics'].items() if shown['visible']]
    topics.append(match['imageMode']['imageTopic'])
    assert set(topics) == {f'/localizer/{name}' for name in ('markers', 'pose', 'debug_image')}
    topics += [panel['topicToRender'] for name in ('DiagnosticSummary', 'RosOut')
               for panel in panels(name)]  # fmt: skip
    assert len(topics) == 5 and set(topics) <= set(PUBLISHED)


def test_both_give_the_pose_where_the_node_takes_it() -> None:
    (scene,) = panels('3D')
    tools = RVIZ['Visualization Manager']['Tools']
    (given,) = (tool['Topic']['Value'] for tool in tools if 'Topic' in tool)
    assert scene['publish']['poseEstimateTopic'] == given == '/initialpose'
    assert scene['followTf'] == RVIZ['Visualization Manager']['Global Options']['Fixed Frame']


@pytest.mark.parametrize(
    ('kind', 'types'),
    [('Plot', {'float', 'double'}), ('StateTransitions', {'uint8', 'string', 'boolean'})],
)
def test_foxglove_draws_fields_that_the_messages_have(kind: str, types: set[str]) -> None:
    paths = [path for panel in panels(kind) for path in panel['paths']]
    assert paths and {field_type(path['value']) for path in paths} <= types
    assert all(path['timestampMethod'] == 'receiveTime' for path in paths)
    if kind == 'Plot':
        assert all(path['enabled'] for path in paths)  # one without it draws nothing
