# SPDX-License-Identifier: MIT
"""Says what is the case: on /diagnostics, on ~/status and in the log."""

from __future__ import annotations

from selavpr_ros.node.context import Context
from selavpr_ros.node.health import status
from selavpr_ros.node.health.diagnostics import Diagnostics
from selavpr_ros.node.health.health import worst
from selavpr_ros.node.outputs import Outputs
from selavpr_ros.node.pipeline.pipeline import Pipeline

PERIOD_S = 1.0


class Reporter:
    """Every PERIOD_S and on changes. Both threads call it."""

    def __init__(
        self, context: Context, diagnostics: Diagnostics, pipeline: Pipeline, outputs: Outputs
    ) -> None:
        self._context, self._diagnostics = context, diagnostics
        self._pipeline, self._outputs = pipeline, outputs

    def report(self) -> None:
        parts = self._diagnostics.parts()
        self._context.log.log_parts(parts)
        self._outputs.diagnostics.publish(status.diagnostic_array(self._context, parts))
        message = status.localizer_status(self._context, self._pipeline.state, worst(parts))
        self._outputs.status.publish(message)
