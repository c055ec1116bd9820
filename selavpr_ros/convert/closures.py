# SPDX-License-Identifier: MIT
"""Loop closures -> ROS messages."""

from __future__ import annotations

from geometry_msgs.msg import PoseWithCovariance
import numpy as np
from selavpr.msg import LoopClosure

from selavpr_model.poses import relative
from selavpr_model.records import LoopClosure as ClosureRecord
from selavpr_model.records import State
from selavpr_ros.convert import to_ros


def loop_closures(outcome: to_ros.Outcome, body: to_ros.Body) -> list[LoopClosure]:
    """SLAM's, with their verdicts; in a fixed map at most the candidate of this frame."""
    if outcome.closures is not None:
        return [slam_closure(closure, body) for closure in outcome.closures]
    message = loop_closure(outcome, body)
    return [] if message is None else [message]


def slam_closure(closure: ClosureRecord, body: to_ros.Body) -> LoopClosure:
    before, after = closure.before, closure.after
    message = LoopClosure(
        header=to_ros.header(after.stamp_ns, body.map_frame),
        stamp_from=to_ros.time(before.stamp_ns),
        stamp_to=to_ros.time(after.stamp_ns),
        key_from=before.id,
        key_to=after.id,
        session_from=to_ros.text(before.session),
        session_to=to_ros.text(after.session),
        frame_id_from=to_ros.text(before.camera_frame),
        frame_id_to=to_ros.text(after.camera_frame),
        type=int(closure.kind),
        pose_type=int(closure.pose_kind),
        pose=to_ros.no_pose(),
        global_similarity=float(closure.global_similarity),
        num_matches=int(closure.mutual_matches),
        num_inliers=int(closure.inliers),
        confidence=to_ros.or_nan(closure.confidence),
        reject_mask=int(closure.reject),
    )
    if closure.pose is not None and closure.covariance is not None:
        message.pose.pose = to_ros.pose_of(closure.pose)
        message.pose.covariance = np.asarray(closure.covariance, float).ravel()
    return message


def loop_closure(outcome: to_ros.Outcome, body: to_ros.Body) -> LoopClosure | None:
    """Between the accepted place and the frame, VERIFIED where geometry has looked and agreed, in
    metres where the pose is refined; None unless LOCALIZED.
    """
    recognition = outcome.recognition
    if recognition.state != State.LOCALIZED:
        return None
    best = recognition.candidates[0]
    message = LoopClosure(
        header=to_ros.header(recognition.stamp_ns, body.map_frame),
        stamp_from=to_ros.time(best.place.stamp_ns),
        stamp_to=to_ros.time(recognition.stamp_ns),
        key_from=best.place.id,
        key_to=outcome.frame_number,
        session_from=to_ros.text(best.place.session),
        frame_id_from=to_ros.text(best.place.camera_frame),
        frame_id_to=outcome.camera_frame,
        type=LoopClosure.VERIFIED if best.inliers else LoopClosure.CANDIDATE,
        pose_type=LoopClosure.POSE_NONE,
        pose=to_ros.no_pose(),
        global_similarity=float(best.global_similarity),
        num_matches=int(best.mutual_matches),
        num_inliers=int(best.inliers),
        confidence=to_ros.or_nan(best.confidence),
    )
    if best.pose is not None and best.covariance is not None and best.place.pose is not None:
        T, C = relative(best.place.pose, best.pose, best.covariance)
        message.pose_type = LoopClosure.POSE_METRIC
        message.pose = PoseWithCovariance(pose=to_ros.pose_of(T), covariance=C.ravel())
    return message
