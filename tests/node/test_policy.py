# SPDX-License-Identifier: MIT
"""The SROS2 policy allows the node all that it does, and nobody else what writes or loads."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from robot import Robot

from where import ROOT

POLICY = ElementTree.parse(ROOT / 'config' / 'sros2_policy.xml').getroot()


def allowed(node: str, kind: str, what: str) -> set[str]:
    """Names in the policy, as in the namespace / and for a node of that name."""
    profile = next(p for p in POLICY.iter('profile') if p.get('node') == node)
    texts = [e.text or '' for group in profile.findall(kind) if group.get(what) for e in group]
    return {name.replace('~', f'/{node}') if name[0] in '~/' else f'/{name}' for name in texts}


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_the_node_does_nothing_that_the_policy_forbids(
    ros: None, street_map: Path, transport: str
) -> None:
    with Robot(map=str(street_map), image_transport=transport, publish_tf=True) as robot:
        node = robot.until_active().localizer
        asked = node.get_name(), robot.namespace
        for kind, what, names in (
            ('topics', 'subscribe', node.get_subscriber_names_and_types_by_node(*asked)),
            ('topics', 'publish', node.get_publisher_names_and_types_by_node(*asked)),
            ('services', 'reply', node.get_service_names_and_types_by_node(*asked)),
        ):
            used = {name.removeprefix(robot.namespace) for name, _ in names}
            assert used and used <= allowed('localizer', kind, what), kind


def test_a_watcher_can_neither_load_nor_save_nor_set() -> None:
    asked = allowed('watcher', 'services', 'request')
    assert asked == {'/localizer/relocalize', '/localizer/query_image'}
