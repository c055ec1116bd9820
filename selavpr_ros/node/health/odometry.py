# SPDX-License-Identifier: MIT
"""The line Odometry of the diagnostics: what arrives, what is used of it, and the cure."""

from __future__ import annotations

from collections.abc import Iterator

from selavpr_model.records import SECOND
from selavpr_ros.node import qos
from selavpr_ros.node.context import Context
from selavpr_ros.node.health.clocks import duration
from selavpr_ros.node.health.health import AND, OK, Part, WARN
from selavpr_ros.node.incoming.odometry import KEPT_NS, OdometryInput
from selavpr_ros.node.inputs import Inputs
from selavpr_ros.node.pipeline.pipeline import Pipeline
from selavpr_ros.node.pipeline.states import odometry_is_frozen

TYPE = 'nav_msgs/msg/Odometry'
GRACE_S = 1.5  # after activation, for the discovery of the other nodes
SILENT_S = 2.0
ENOUGH_IMAGES = 5
LEAST_SHARE = 0.5  # of the images with odometry
AHEAD_S = 0.25  # images that are this far ahead of odometry are so by their clock
LATE_S = 0.5  # images that are this far behind odometry are so by their clock


class OdometryLine:
    """Reads the other parts and changes nothing."""

    def __init__(self, context: Context, inputs: Inputs, pipeline: Pipeline) -> None:
        self._context, self._inputs, self._pipeline = context, inputs, pipeline

    @property
    def _odometry(self) -> OdometryInput:
        return self._inputs.odometry

    def part(self) -> Part:
        """All troubles, in the order in which they are to be mended."""
        if not self._context.processing:
            return Part('Odometry', OK, 'not processing images', self._values())
        if self._context.active_s < GRACE_S:
            return Part('Odometry', OK, 'waiting', self._values())
        if troubles := list(self._troubles()):
            return Part('Odometry', WARN, AND.join(troubles), self._values())
        return Part('Odometry', OK, self._well(), self._values())

    def _well(self) -> str:
        arrivals, used = self._odometry.arrivals, self._odometry.used
        if not arrivals.count:
            return f'none: nobody publishes {self._odometry.topic}; {self._without}'
        return f'{arrivals.rate_hz():.1f} Hz, used for {sum(used)} of the last {len(used)} images'

    @property
    def _without(self) -> str:
        """What it means that there is no odometry."""
        text = 'the robot is taken to move at up to temporal.speed_mps instead'
        tf = ', and publish_tf has nothing to send' if self._context.config.publish_tf else ''
        return text + tf

    def _values(self) -> dict[str, object]:
        odometry, arrivals = self._odometry, self._odometry.arrivals
        age, offset = arrivals.age_s(), self.images_ahead_s()
        return {
            'topic': odometry.topic,
            'publishers': qos.describe_ends(self._inputs.ends(odometry.topic)),
            'received': arrivals.count,
            'rate Hz': f'{arrivals.rate_hz():.1f}',
            'age s': 'none' if age is None else f'{age:.2f}',
            'images ahead of odometry s': 'unknown' if offset is None else f'{offset:.2f}',
            **{f'rejected, {why}': n for why, n in sorted(odometry.rejected.items())},
            'frame': odometry.frames[0],
            'child frame': odometry.frames[1],
            'segment': odometry.segment,
            'used': f'{sum(odometry.used)} of the last {len(odometry.used)} images',
        }

    def images_ahead_s(self) -> float | None:
        """How far the images' clock is ahead of odometry's; None where one of them is silent."""
        images, odometry = self._context.health.arrivals, self._odometry.arrivals
        delays = images.delay_s(), odometry.delay_s()
        return None if delays[0] is None or delays[1] is None else delays[1] - delays[0]

    def _troubles(self) -> Iterator[str]:
        arrivals = self._odometry.arrivals
        if not arrivals.count:
            yield from filter(None, (self._never(),))
            return
        age = arrivals.age_s() or 0.0
        found = (
            self._stopped(age) if age > SILENT_S else None,
            self._crowded(),
            self._rejected(),
            self._other_clock(),
            self._still(),
            self._broken(),
            self._strange_frame(),
            self._no_stamp(),
        )
        said = list(filter(None, found))
        yield from said or filter(None, (self._seldom_used(),))

    def _never(self) -> str | None:
        """Nothing has come: is it missed?"""
        topic, ends = self._odometry.topic, self._inputs.ends(self._odometry.topic)
        kinds = sorted({end.topic_type for end in ends})
        if ends and TYPE not in kinds:
            return (
                f'no odometry on {topic}: it is of type {", ".join(kinds)}, expected {TYPE}; '
                f'remap to a topic of that type; until then {self._without}'
            )
        if ends:
            return (
                f'no odometry on {topic} although it is published by {qos.describe_ends(ends)}; '
                f'check that its source runs; until then {self._without}'
            )
        others = [t for t in self._inputs.topics_of(TYPE) if t != topic]
        if others:
            return (
                f'nobody publishes odometry on {topic}, but there is {", ".join(others)}; remap: '
                f'-r odom:={others[0]} (launch: odom_topic); until then {self._without}'
            )
        if self._context.config.publish_tf:
            return (
                f'nobody publishes odometry on {topic}, so publish_tf has no '
                f'{self._context.config.odom_frame} to give a transform to; start it, or remap: '
                '-r odom:=/your/odometry (launch: odom_topic)'
            )
        return None

    def _stopped(self, age_s: float) -> str:
        topic = self._odometry.topic
        ends = qos.describe_ends(self._inputs.ends(topic))
        return (
            f'no odometry for {age_s:.0f} s on {topic}, publishers: {ends}; start its source '
            f'again; until then {self._without}'
        )

    def _crowded(self) -> str | None:
        topic = self._odometry.topic
        ends = self._inputs.ends(topic)
        if len(ends) > 1:
            torn = '; their poses do not fit, so it is not used' if self._odometry.is_torn else ''
            return (
                f'{len(ends)} publishers of odometry on {topic}: {qos.describe_ends(ends)}{torn}; '
                'stop one, or remap it to another topic'
            )
        if self._odometry.is_torn:
            return (
                f'odometry on {topic} breaks again and again ({self._odometry.recent_break}), so '
                f'it is not used; check its source, and that it is in metres; until then '
                f'{self._without}'
            )
        return None

    def _rejected(self) -> str | None:
        why = self._odometry.recent_rejection
        if not why:
            return None
        count, total = sum(self._odometry.rejected.values()), self._odometry.arrivals.count
        return f'{self._odometry.topic}: {count} of {total} messages are not used, as {why}'

    def _other_clock(self) -> str | None:
        """Odometry and images are stamped by clocks that differ."""
        ahead = self.images_ahead_s()
        if ahead is None or -LATE_S <= ahead <= max(AHEAD_S, self._context.config.odom_gap_s):
            return None
        fits = 'odometry fits no image'
        if -KEPT_NS / SECOND < ahead < 0:
            fits = 'odometry of another moment is used, unless this camera needs that long'
        return (
            f'image stamps are {duration(-ahead)} those of odometry on {self._odometry.topic}, so '
            f'{fits}; {self._whose_clock()}; synchronise the clocks (chrony, PTP), or have the '
            'driver stamp with the time of its computer'
        )

    def _whose_clock(self) -> str:
        delays = {
            'the camera': self._context.health.arrivals.delay_s() or 0.0,
            'odometry': self._odometry.arrivals.delay_s() or 0.0,
        }
        if self._context.uses_sim_time:
            return 'both have to come from one bag or simulator'
        name = max(delays, key=lambda n: abs(delays[n]))
        return f'{name} is {duration(delays[name])} the clock of this computer'

    def _still(self) -> str | None:
        if not odometry_is_frozen(self._pipeline.state):
            return None
        return (
            f'odometry on {self._odometry.topic} stands still while the views change, so it is '
            f'not used; check its source (wheel encoders, driver); until it moves {self._without}'
        )

    def _broken(self) -> str | None:
        why = self._odometry.recent_break
        if not why or self._odometry.is_torn:
            return None
        return (
            f'odometry on {self._odometry.topic} broke: {why}; the motion across it is not used '
            'and SLAM starts a new segment; if its source did not restart, check it'
        )

    def _strange_frame(self) -> str | None:
        (frame, child), config = self._odometry.frames, self._context.config
        if frame.lstrip('/') != config.odom_frame.lstrip('/'):
            return (
                f'{self._odometry.topic}: expected frame {config.odom_frame!r}, got {frame!r}; '
                f'set odom_frame:={frame or "FRAME"}'
            )
        is_base = child.lstrip('/') == config.base_frame.lstrip('/')
        if is_base or self._odometry.T_child_base(child) is not None:
            return None
        if not child:
            return (
                f'{self._odometry.topic} has no child_frame_id and is taken for the motion of '
                f'{config.base_frame!r}; set child_frame_id in its driver'
            )
        return (
            f'{self._odometry.topic} is the motion of {child!r} and is taken for that of '
            f'{config.base_frame!r}, as TF does not connect them; publish {config.base_frame} -> '
            f'{child} on /tf_static, or set base_frame:={child}'
        )

    def _no_stamp(self) -> str | None:
        if not self._odometry.without_stamp:
            return None
        return (
            f'{self._odometry.topic} has stamp 0, so the arrival of its messages is used; let its '
            'driver set header.stamp'
        )

    def _seldom_used(self) -> str | None:
        used, config = self._odometry.used, self._context.config
        if len(used) < ENOUGH_IMAGES or sum(used) >= LEAST_SHARE * len(used):
            return None
        return (
            f'odometry on {self._odometry.topic} was used for {sum(used)} of the last {len(used)} '
            f'images: at {self._odometry.arrivals.rate_hz():.1f} Hz none is as young as '
            f'odom_gap_s, {config.odom_gap_s:g} s; publish it faster, or raise odom_gap_s'
        )
