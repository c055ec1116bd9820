# SPDX-License-Identifier: MIT
"""SLAM on real drives: what closes, what does not, and that it repeats."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from selavpr_model.config import MapConfig, SlamConfig
from selavpr_model.data.decode import read_rgb
from selavpr_model.data.listing import list_images
from selavpr_model.geometry.map_geometry import MapGeometry
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.records import Camera, ClosureKind, Frame
from selavpr_model.slam.odometry_track import OdometryTrack
from selavpr_model.slam.records import SlamConfigs
from selavpr_model.slam.session import SlamSession

VERIFIED, CANDIDATE, REJECTED = ClosureKind.VERIFIED, ClosureKind.CANDIDATE, ClosureKind.REJECTED


@pytest.fixture(scope='module')
def corridor(shared_data, extractor):
    """The real corridor, driven twice: true pairs, frames one second apart and their features."""
    folder = shared_data('rtabmap_loop')
    truth = cv2.imread(str(folder / 'truth.png'), cv2.IMREAD_GRAYSCALE) > 127
    files = [file for file in list_images(folder) if file.name != 'truth.png']
    frames = [Frame(i * 10**9, read_rgb(file), name=file.name) for i, file in enumerate(files)]
    return truth, frames, extractor.extract_batch([frame.image for frame in frames])


def session(extractor, place_map=None, **slam):
    place_map = place_map or PlaceMap.empty(extractor.identity, MapConfig(thumbnail_px=0))
    return SlamSession(extractor, place_map, SlamConfigs(SlamConfig(**slam)))


def drive(slam, frames, features):
    return [slam.advance(f, x) for f, x in zip(frames, features, strict=True)]


@pytest.fixture(scope='module')
def driven(corridor, extractor):
    _, frames, features = corridor
    slam = session(extractor, session='corridor')
    return slam, drive(slam, frames, features)


def test_the_second_round_closes_and_nothing_else(corridor, driven):
    truth, (_, steps) = corridor[0], driven
    closures = [c for step in steps for c in step.closures]
    pairs = [(c.after.id, c.before.id) for c in closures if c.kind is VERIFIED]
    assert all(truth[pair] for pair in pairs)
    revisits = int(truth.any(axis=1).sum())
    assert len({after for after, _ in pairs}) >= 0.6 * revisits


def test_every_candidate_gets_at_most_one_verdict_and_rejections_say_why(driven):
    closures = [c for step in driven[1] for c in step.closures]
    verdicts = [(c.before.id, c.after.id) for c in closures if c.kind is not CANDIDATE]
    assert len(verdicts) == len(set(verdicts))
    assert all(c.reject and c.reason for c in closures if c.kind is REJECTED)
    assert not any(c.reject for c in closures if c.kind is not REJECTED)
    assert all(c.pose is None for c in closures)


def test_the_same_drive_gives_the_same_closures(corridor, driven, extractor):
    _, frames, features = corridor
    again = drive(session(extractor, session='corridor'), frames, features)

    def told(steps):
        return [(c.kind, c.before.id, c.after.id, c.reason) for s in steps for c in s.closures]

    assert told(again) == told(driven[1])


def test_the_grown_map_is_saved_and_a_second_run_closes_with_it(
    corridor, driven, extractor, tmp_path
):
    truth, frames, features = corridor
    slam, _ = driven
    save_map(slam.place_map, tmp_path / 'map')
    opened = open_map(tmp_path / 'map', extractor.identity)
    assert {p.session for p in opened.places} == {'corridor'}
    later = [replace(f, stamp_ns=f.stamp_ns + 10**12) for f in frames[:14]]
    steps = drive(session(extractor, opened, session='later'), later, features[:14])
    found = [c for step in steps for c in step.closures if c.kind is VERIFIED]
    assert len(found) >= 8
    for closure in found:
        now, then = closure.after.id - len(frames), closure.before.id
        assert closure.before.session == 'corridor' and closure.after.session == 'later'
        assert abs(now - then) <= 2 or truth[max(now, then), min(now, then)]


def test_where_it_was_never_before_the_robot_is_not_sure(corridor, driven):
    truth, (slam, steps) = corridor[0], driven
    answers = [step.recognition for step in steps if step.recognition.candidates]
    sure = {a.stamp_ns // 10**9: a.alone_confidence for a in answers}
    new, again = ([p for i, p in sure.items() if truth[i].any() is np.bool_(w)] for w in (0, 1))
    assert len(new) >= 10 and max(new) < 0.9 < max(again)
    assert np.mean(new) < 0.3 < np.mean(again)
    assert slam.configs.slam.session == 'corridor'


def test_a_robot_that_stands_still_adds_one_place(corridor, extractor):
    _, frames, features = corridor
    slam = session(extractor)
    still = [replace(frames[0], stamp_ns=i * 2 * 10**9) for i in range(5)]
    steps = drive(slam, still, features[:1] * 5)
    assert len(slam.place_map) == slam.added == 1 and steps[0].place is not None
    assert not any(step.place for step in steps[1:])


def odometry(x, yaw=0.0):
    pose = np.eye(4)
    pose[2, 3] = x
    return pose


def at(stamp_s, odom):
    return round(stamp_s * 1e9), odom


def test_recent_places_stay_hidden_until_time_and_distance_have_passed():
    track = OdometryTrack(SlamConfig(exclude_m=20.0, exclude_s=10.0), speed_mps=1.0)
    for i in range(10):
        track.add(track.locate(*at(i, odometry(3.0 * i))))
    assert track.searchable(track.locate(*at(9.5, odometry(27.0)))) == 0  # far, but just now
    assert track.searchable(track.locate(*at(60.0, odometry(28.0)))) == 3  # waiting is no way
    assert track.searchable(track.locate(*at(70.0, odometry(30.0)))) == 4


def test_odometry_that_jumps_or_ends_starts_a_segment_of_its_own():
    track = OdometryTrack(SlamConfig(), speed_mps=1.0)
    poses = [odometry(0.0), odometry(1.0), odometry(500.0), odometry(501.0), None, None]
    for i, pose in enumerate(poses):
        track.add(track.locate(*at(i, pose)))
    assert [point.segment for point in track.points] == [0, 0, 1, 1, 2, 2]
    assert [point.blind for point in track.points] == [False] * 4 + [True] * 2
    assert track.points[-1].travelled_m == pytest.approx(4.0)


def driven_in(extractor, path, frames, features, T_odom_map):
    """Two rounds in the map at `path`, with an odometry that starts somewhere else."""
    slam = session(extractor, open_map(path), session='drive')
    steps = []
    for i, (frame, x) in enumerate(zip(frames * 2, features * 2, strict=True)):
        odom = T_odom_map @ frame.pose
        steps.append(slam.advance(replace(frame, stamp_ns=i * 30 * 10**9, odom=odom), x))
    return slam, steps


def test_odometry_that_breaks_in_a_new_map_is_said_once_a_break(street, extractor, caplog):
    features = extractor.extract_batch([frame.image for frame in street])
    slam = session(extractor)
    for i, (frame, x) in enumerate(zip(street, features, strict=True)):
        odom = odometry(5.0 * i + (9000.0 if i >= 6 else 0.0))
        slam.advance(replace(frame, stamp_ns=i * 30 * 10**9, odom=odom), x)
    said = [line for line in caplog.messages if 'odometry broke' in line]
    assert len(said) == 1 and '`selavpr map merge`' in said[0]
    assert len({place.session for place in slam.place_map.places}) == 1


@pytest.fixture(scope='module')
def strangers(street, street_map, extractor):
    """The street in the map of another run, by odometry that lies on its frame, and far off it."""
    features = extractor.extract_batch([frame.image for frame in street])
    far = np.eye(4)
    far[0, 3] = 5000.0
    return [driven_in(extractor, street_map, street, features, T) for T in (np.eye(4), far)]


def test_where_the_odometry_of_a_run_starts_says_nothing_about_the_places_of_others(strangers):
    def told(steps):
        made = [(c.row, c.status, c.reject, c.confidence and round(c.confidence, 9)) for s in steps
                for c in s.recognition.candidates]  # fmt: skip
        return made, [(c.kind, c.before.id, c.after.id) for s in steps for c in s.closures]

    (_, near), (_, far) = strangers
    sessions = [{c.place.session for c in s.recognition.candidates} for s in near]
    assert {'street', 'drive'} in sessions
    assert told(near) == told(far)


def test_in_a_map_of_another_frame_a_run_shows_no_pose_of_its_own(strangers):
    slam, steps = strangers[0]
    shown = [c.place for s in steps for c in s.recognition.candidates]
    shown += [p for s in steps for c in s.closures for p in (c.before, c.after)]
    shown += [step.place for step in steps if step.place is not None]
    assert {p.session for p in shown} == {'street', 'drive'}
    assert all((p.pose is None) == (p.session == 'drive') for p in shown)
    known = np.isfinite(slam.place_map.positions).all(axis=1)
    assert known.tolist() == [p.session == 'street' for p in slam.place_map.places]


def test_each_pair_that_was_announced_gets_one_verdict_unless_the_drive_ends_before(driven):
    slam, steps = driven
    closures = [c for step in steps for c in step.closures]
    pairs = {kind: [(c.before.id, c.after.id) for c in closures if c.kind is kind]
             for kind in ClosureKind}  # fmt: skip
    verdicts = [*pairs[VERIFIED], *pairs[REJECTED]]
    assert len(set(verdicts)) == len(verdicts)
    last = len(slam.place_map) - 1 - slam.configs.slam.pending
    open_ones = set(pairs[CANDIDATE]) - set(verdicts)
    assert pairs[CANDIDATE] and all(after > last for _, after in open_ones)


def test_the_geometry_of_a_map_verifies_the_closures_of_a_session(corridor, extractor):
    _, frames, features = corridor
    height, width = frames[0].image.shape[:2]
    K = np.array([[width, 0.0, width / 2], [0.0, width, height / 2], [0.0, 0.0, 1.0]])
    camera = Camera(K, np.zeros(5), (width, height))
    place_map = PlaceMap.empty(extractor.identity, MapConfig(thumbnail_px=0))
    configs = SlamConfigs(SlamConfig(session='corridor'))
    slam = SlamSession(extractor, place_map, configs, verifier=MapGeometry(place_map))
    steps = drive(slam, [replace(frame, camera=camera) for frame in frames], features)
    closures = [c for step in steps for c in step.closures if c.kind is VERIFIED and c.inliers]
    assert closures and all('matches fit one motion' in c.reason for c in closures)
