# SPDX-License-Identifier: MIT
"""Images, their calibration and their stamps."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from selavpr_model.records import SECOND
from selavpr_ros.doctor.check import Check, fail, ok, warn
from selavpr_ros.doctor.observation import Observation, Settings, Stream
from selavpr_ros.doctor.robot import stands_still

SLOW_HZ = 1.0
DARK, FLAT = 20.0, 5.0  # mean and standard deviation of grey values


def camera(seen: Observation, settings: Settings) -> Check:
    """Whether images come and can be read."""
    images, name = seen.images, 'camera'
    if images.problem or not images.arrivals:
        return _no_images(seen, settings)
    kind, _ = images.kinds.most_common(1)[0]
    text = f'{images.topic}: {kind}, {images.rate_hz:.1f} Hz'
    if not images.pictures:
        reason = images.rejected.most_common(1)[0][0]
        cure = 'set the driver to rgb8'
        if 'depth' in reason:
            cure = 'name the topic of the colour or grey images: --image-topic'
        return fail(name, f'{text}; no image can be decoded: {reason}', cure)
    if images.refuses:
        return fail(name, f'{text}; {images.refuses}', 'set qos_image:=sensor_data')
    if images.rejected:
        reason, n = images.rejected.most_common(1)[0]
        cure = 'check the cable and the network; the node leaves such images out'
        return warn(name, f'{text}; {n} images cannot be decoded: {reason}', cure)
    return _content(seen, text)


def _no_images(seen: Observation, settings: Settings) -> Check:
    images = seen.images
    if images.problem:
        return fail('camera', images.problem, 'name the topic: --image-topic')
    ends = '; '.join(images.publishers) or 'none'
    return fail(
        'camera',
        f'{images.topic}: no image in {settings.seconds:g} s; publishers: {ends}',
        'start the driver, or name the topic: --image-topic',
    )


def _content(seen: Observation, text: str) -> Check:
    images, name = seen.images, 'camera'
    if len(images.publishers) > 1:
        several = f'{len(images.publishers)} publishers: {"; ".join(images.publishers)}'
        return warn(name, f'{text}; {several}', 'stop all but one')
    if len(images.frames) > 1:
        frames = ', '.join(map(repr, images.frames))
        return fail(name, f'{text}; images of {frames} on one topic', 'give each camera a topic')
    if '' in images.frames:
        return warn(name, f'{text}; images have no frame_id', "set the driver's frame_id")
    if len({kind.partition(' ')[0] for kind in images.kinds}) > 1:
        return warn(name, f'{text}; sizes change: {dict(images.kinds)}', 'fix the resolution')
    grey = np.stack([[p.mean(), p.std()] for _, p in images.pictures])
    if np.median(grey[:, 0]) < DARK or np.median(grey[:, 1]) < FLAT:
        cure = 'take the lens cap off, switch on a light, raise the exposure'
        return fail(name, f'{text}; the images are black or empty', cure)
    if _repeats(seen):
        cure = 'start the driver again: it repeats its last picture'
        return fail(name, f'{text}; all show the same picture while odometry moves', cure)
    if images.rate_hz < SLOW_HZ:
        return warn(name, f'{text}: less than {SLOW_HZ:g} Hz', "raise the driver's rate")
    return ok(name, text)


def _repeats(seen: Observation) -> bool:
    """Whether not one value of a picture differs from the first, although the robot drives."""
    pictures = [picture for _, picture in seen.images.pictures]
    moves = len(seen.odometry.poses) > 1 and not stands_still(seen)
    return moves and len(pictures) > 1 and all(np.array_equal(p, pictures[0]) for p in pictures)


def calibration(seen: Observation, settings: Settings) -> Check:
    """Whether geometry can use the images."""
    name, known, needed = 'calibration', seen.calibration, 'geometry gives no refined pose'
    if known.camera is None and known.rejected:
        reason = known.rejected.most_common(1)[0][0]
        return fail(name, f'{known.topic}: {reason}', 'calibrate the camera (camera_calibration)')
    if known.camera is None:
        where = known.topic or known.problem or 'no camera_info beside the images'
        cure = 'publish camera_info beside the images, or switch geometry.enabled off'
        return warn(name, f'{where}: nothing was received, so {needed}', cure)
    camera, size = known.camera, 'x'.join(map(str, known.camera.size))
    if seen.images.pictures and not camera.sees(seen.images.pictures[0][1]):
        height, width = seen.images.pictures[0][1].shape[:2]
        text = f'{known.topic} is of {size}, images are {width}x{height}: it is not used'
        return fail(name, text, 'calibrate at this resolution, or set the driver to it')
    kind = 'of rectified images' if known.rectified else camera.model
    return ok(name, f'{known.topic}: {size} {kind}, f {camera.K[0, 0]:.0f} px')


def clocks(seen: Observation, settings: Settings) -> Check:
    """Whether all stamps are of one clock, that of this computer."""
    name, images = 'clocks', seen.images
    for stream in (images, seen.odometry):
        if trouble := _stamps(stream):
            return fail(name, *trouble)
    if images.delay_s is None:
        return warn(name, 'there are no images to compare with', 'see camera')
    apart = None
    if seen.odometry.delay_s is not None:
        apart = images.delay_s - seen.odometry.delay_s
    if apart is not None and abs(apart) > 0.5:
        side = 'behind' if apart > 0 else 'ahead of'
        text = f'image stamps are {abs(apart):.2f} s {side} those of odometry'
        return fail(name, text, 'synchronise the two computers (chrony, PTP), or mend the driver')
    return _age(seen, settings)


def _stamps(stream: Stream) -> tuple[str, str] | None:
    """What is wrong with the stamps of one topic, and the cure."""
    stamps, what = stream.stamps, stream.topic
    if zeros := stamps.count(0):
        cure = 'mend the driver: it has to stamp its messages when they are taken'
        return f'{what}: {zeros} of {len(stamps)} messages are stamped 0', cure
    back = sum(b < a for a, b in pairwise(stamps))
    if back > 1:
        publishers = f' ({"; ".join(stream.publishers)})' if stream.publishers else ''
        text = f'{what}: stamps go back {back} times in {len(stamps)} messages'
        return f'{text}: two clocks or publishers on one topic{publishers}', 'keep one of them'
    if back:
        return f'{what}: stamps go back once: the clock was restarted', 'record it again'
    return None


def _age(seen: Observation, settings: Settings) -> Check:
    delay, limit_s = seen.images.delay_s or 0.0, settings.node.max_frame_age_s
    what = 'recorded' if not seen.live else 'received'
    text = f'images are {what} {abs(delay):.2f} s {"before" if delay < 0 else "after"} their stamp'
    if seen.live and abs(delay) > settings.node.foreign_clock_s:
        cure = 'a bag plays: ros2 bag play --clock and use_sim_time:=true; else mend the clock'
        return fail('clocks', f'{text}: they are of another clock', cure)
    if seen.live and limit_s and delay > limit_s:
        cure = f'max_frame_age_s is {limit_s:g}: images are dropped; synchronise the clocks'
        return fail('clocks', text, f'{cure} (chrony, PTP), or raise it')
    if abs(delay) > 1.0 or delay < -0.1:
        cure = 'synchronise the computers (chrony, PTP), or play the bag with --clock'
        return warn('clocks', text, cure)
    gaps = np.diff(sorted(seen.images.stamps)) / SECOND
    longest = f', at most {gaps.max():.2f} s apart' if len(gaps) else ''
    return ok('clocks', text + longest)
