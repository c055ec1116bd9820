# SPDX-License-Identifier: MIT
"""Where the camera sits, how the robot moves, and the tree of frames."""

from __future__ import annotations

import numpy as np

from selavpr_model.data.odometry import breaks
from selavpr_model.poses import inverse, PoseTrack
from selavpr_model.records import SECOND
from selavpr_ros.convert import from_ros
from selavpr_ros.convert.tf_buffer import bare, TransformError
from selavpr_ros.doctor.check import Check, fail, ok, warn
from selavpr_ros.doctor.observation import Observation, Settings

STILL_M, STILL_RAD = 0.02, 0.02
CHANGED = 12.0  # mean grey values between two small images


def mounting(seen: Observation, settings: Settings) -> Check:
    """Whether T_base_camera is known at the images."""
    name, base = 'mounting', settings.node.base_frame
    if settings.node.base_camera is not None:
        return _optical(from_ros.checked_pose(settings.node.base_camera), 'base_camera', base)
    if not seen.images.frames:
        return warn(name, 'no image came, so that no camera is to be found', 'see camera')
    camera = bare(seen.images.frames.most_common(1)[0][0]) or 'camera'
    middle = seen.images.stamps[len(seen.images.stamps) // 2]
    for stamp_ns in (middle, None):
        T = seen.tree.buffer.find(base, camera, stamp_ns)
        if T is not None and stamp_ns is not None:
            return _optical(T, camera, base)
    cure = 'publish the transform (robot_state_publisher), or give base_camera:=x,y,z,qx,qy,qz,qw'
    if T is not None:
        cure = 'see that its publisher runs and has the clock of the camera'
    return fail(name, f'{base} -> {camera}: {why_not(seen, base, camera, middle)}', cure)


def why_not(seen: Observation, parent: str, child: str, stamp_ns: int) -> str:
    """Why the tree does not connect two frames."""
    if seen.tree.hint:
        return seen.tree.hint
    for frame in sorted(seen.tree.buffer.frames()):
        if frame.endswith(f'/{parent}'):
            return f'the transforms call it {frame!r}: set base_frame:={frame}'
    try:
        seen.tree.buffer.lookup(parent, child, stamp_ns)
    except TransformError as error:
        return str(error)
    return 'it came late'


def _optical(T_base_camera: np.ndarray, camera: str, base: str) -> Check:
    """An optical frame has z ahead and y down: not up, as the body of a camera has."""
    x, y, z = T_base_camera[:3, 3]
    text = f'{base} -> {camera}: ({x:.2f}, {y:.2f}, {z:.2f}) m'
    ahead, down = T_base_camera[:3, 2], T_base_camera[:3, 1]
    if ahead[2] > 0.9 and abs(down[2]) < 0.5:
        cure = 'give the images the optical frame as frame_id (z ahead, x right, y down)'
        return warn('mounting', f'{text}; the z axis of {camera!r} points up', cure)
    return ok('mounting', text)


def odometry(seen: Observation, settings: Settings) -> Check:
    """Whether the node can use it; without, it works, less well."""
    odom, name = seen.odometry, 'odometry'
    if odom.problem or not odom.topic:
        text = odom.problem or 'no topic of nav_msgs/Odometry'
        cure = 'give odom_topic; without, a constant speed is assumed and publish_tf sends nothing'
        return warn(name, text, cure)
    if not odom.arrivals:
        ends = '; '.join(odom.publishers) or 'none'
        text = f'{odom.topic}: nothing in {settings.seconds:g} s; publishers: {ends}'
        return warn(name, text, 'start its driver, or name the topic: --odom-topic')
    text = f'{odom.topic}: {odom.rate_hz:.0f} Hz'
    if odom.rejected:
        reason, n = odom.rejected.most_common(1)[0]
        text = f'{text}; {n} of {len(odom.stamps)} messages cannot be used: {reason}'
        return fail(name, text, 'mend its publisher')
    return _frames(seen, settings, text)


def _frames(seen: Observation, settings: Settings, text: str) -> Check:
    odom, node, name = seen.odometry, settings.node, 'odometry'
    if node.odom_frame not in odom.frames:
        frame = odom.frames.most_common(1)[0][0]
        cure = f'set odom_frame:={frame}'
        return fail(name, f'{text}; its frame is {frame!r}, not {node.odom_frame!r}', cure)
    child = odom.children.most_common(1)[0][0]
    if bare(child) not in ('', node.base_frame):
        connected = seen.tree.buffer.find(node.base_frame, child) is not None
        if not connected:
            said = f'{text}; it is of {child!r}, which nothing connects to {node.base_frame!r}'
            return fail(name, said, f'publish that transform, or set base_frame:={child}')
    return _motion(seen, settings, text)


def _motion(seen: Observation, settings: Settings, text: str) -> Check:
    odom, name = seen.odometry, 'odometry'
    jumps = breaks(odom.poses)
    if jumps:
        cure = (
            'it was restarted, or lost its way: see its log, and that it is in metres; '
            'map -> odom is withdrawn then'
        )
        return fail(name, f'{text}; {jumps[0]} ({len(jumps)} times)', cure)
    if stands_still(seen) and _view_changes(seen):
        cure = 'see that its driver runs and gets its wheels or images'
        return fail(name, f'{text}; it stands still while the views change', cure)
    used = _used(seen, settings)
    share = f'goes with {used} of {len(seen.images.stamps)} images'
    if seen.images.stamps and used < len(seen.images.stamps) // 2:
        gap = settings.node.odom_gap_s
        cure = (
            f'an image needs odometry of at most {gap:g} s before it: see clocks, raise its rate'
        )
        return fail(name, f'{text}, {share}', cure)
    return ok(name, f'{text}, {share}')


def stands_still(seen: Observation) -> bool:
    """Whether odometry says that the robot did not move; False without odometry."""
    poses = [T for _, T in seen.odometry.poses]
    if len(poses) < 2:
        return False
    steps = [inverse(poses[0]) @ T for T in poses]
    return all(
        np.linalg.norm(T[:3, 3]) < STILL_M and np.trace(T[:3, :3]) > 1 + 2 * np.cos(STILL_RAD)
        for T in steps
    )


def _view_changes(seen: Observation) -> bool:
    import cv2

    small = [cv2.resize(p, (32, 24), interpolation=cv2.INTER_AREA).mean(2)
             for _, p in seen.images.pictures]  # fmt: skip
    return len(small) > 1 and float(np.abs(small[0] - small[-1]).mean()) > CHANGED


def _used(seen: Observation, settings: Settings) -> int:
    if not seen.odometry.poses:
        return 0
    track = PoseTrack(*zip(*seen.odometry.poses, strict=True))
    gap = round(settings.node.odom_gap_s * SECOND)
    return sum(track.latest(stamp, gap) is not None for stamp in seen.images.stamps)


def tree(seen: Observation, settings: Settings) -> Check:
    """Whether the transforms make one tree, with one parent for each frame."""
    name, edges, node = 'tf tree', seen.tree.edges, settings.node
    if not edges:
        if node.base_camera is not None:
            return ok(name, 'no transform is heard, and base_camera is given')
        text = seen.tree.hint or 'no transform on /tf or /tf_static'
        return warn(name, text, 'start robot_state_publisher, or give base_camera')
    if seen.tree.troubles:
        trouble, n = seen.tree.troubles.most_common(1)[0]
        return fail(name, f'{trouble} ({n} times)', 'mend its publisher')
    parents: dict[str, set[str]] = {}
    for parent, child in edges:
        parents.setdefault(bare(child), set()).add(bare(parent))
    for child, several in parents.items():
        if len(several) > 1:
            text = f'{child!r} has {len(several)} parents: {", ".join(sorted(several))}'
            return fail(name, text, 'stop one of their publishers')
    if seen.tree.disputed:
        text, _, cure = seen.tree.disputed[0].partition(': ')
        return fail(name, text, cure)
    return _roots(seen, settings, parents)


def _roots(seen: Observation, settings: Settings, parents: dict[str, set[str]]) -> Check:
    name, node = 'tf tree', settings.node
    above = {frame for several in parents.values() for frame in several}
    roots = sorted(above - set(parents))
    text = f'{len(above | set(parents))} frames below {", ".join(roots) or "a loop"}'
    if not roots:
        return fail(name, f'{text}: {", ".join(sorted(parents))}', 'rename a frame')
    if node.publish_tf and (node.map_frame, node.odom_frame) in seen.tree.edges and not seen.node:
        cure = 'stop the other localiser (AMCL, slam_toolbox), or set publish_tf:=false'
        return fail(name, f'{text}; another node sends map -> odom', cure)
    if len(roots) > 1 and node.base_camera is None:
        cure = 'connect them, where both are of this robot'
        return warn(name, f'{text}: trees that are not connected', cure)
    return ok(name, text)
