# SPDX-License-Identifier: MIT
"""Lets a lifecycle manager lead a node that would else lead itself (autostart)."""

from __future__ import annotations

from typing import Any

from lifecycle_msgs.msg import Transition
from rclpy.lifecycle import LifecycleNode

from selavpr_ros.node.context import Context
from selavpr_ros.node.nav2.bond import Bond

NO_BOND = (
    'a lifecycle manager activates this node and the package bond is not installed: install it '
    '(it comes with Nav2), or set bond_timeout: 0.0 of nav2_lifecycle_manager, which else takes '
    'everything down'
)
CONFIGURE = (Transition.TRANSITION_CONFIGURE, 'configure')
ACTIVATE = (Transition.TRANSITION_ACTIVATE, 'activate')


class Manager:
    """Whoever calls ~/change_state first leads from then on: the node does no step of its own.

    nav2_lifecycle_manager calls configure and activate and checks the state after each, so that
    a node that has come further by itself goes back to inactive, with what it has loaded.
    """

    def __init__(self, node: LifecycleNode, context: Context) -> None:
        self._node, self._context = node, context
        self.bond = Bond(node)
        self.leads = False
        service = node._service_change_state  # rclpy offers no other way to see the calls
        self._inner, service.callback = service.callback, self._change_state

    def _change_state(self, request: Any, response: Any) -> Any:
        first, self.leads = not self.leads, True
        asked = (request.transition.id, request.transition.label)
        if first and self._context.configured and self._is(CONFIGURE, asked):
            return self._take_over(response)
        if first and self._context.active and self._is(ACTIVATE, asked):
            self.on_activate()
            response.success = True
            return response
        response = self._inner(request, response)
        if first and not response.success:
            self.leads = False  # a refused call leads nobody: autostart goes on when it is cured
        return response

    @staticmethod
    def _is(known: tuple[int, str], asked: tuple[int, str]) -> bool:
        """By its label where that is given, as rclpy judges."""
        return asked[1] == known[1] if asked[1] else asked[0] == known[0]

    def _take_over(self, response: Any) -> Any:
        """Of a node that autostart has brought further already."""
        if self._context.active:
            self._node.trigger_deactivate()
        self._node.get_logger().info(
            'a lifecycle manager leads this node from now on: it is inactive until that activates '
            'it; set autostart:=false to start so'
        )
        response.success = self._context.configured and not self._context.active
        return response

    def on_activate(self) -> None:
        """Begin the heartbeat, where somebody leads who may wait for it."""
        if self.leads and not self.bond.possible:
            self._context.log.once(NO_BOND)
        elif self.leads:
            self.bond.start()

    def on_deactivate(self) -> None:
        self.bond.stop()
