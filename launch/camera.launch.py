# SPDX-License-Identifier: MIT
"""Localise a camera whose driver's topics are known. Takes the arguments of localize.launch.py,
too.

    ros2 launch selavpr camera.launch.py camera:=realsense map:=~/maps/campus

The driver is started beside it, with its own launch file: this only knows its topics. Another
name or namespace of the camera: give image_topic and camera_info_topic of localize.launch.py.
"""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource

from launch import LaunchContext, LaunchDescription

# Driver -> topics of its own launch file with the defaults of that, as read in its source. All of
# them offer reliable images to any number of subscribers, which qos_image sensor_data hears.
CAMERAS = {
    # realsense-ros 1cbd81b: rs_launch.py, namespace camera and name camera. Raw images.
    'realsense': {
        'image_topic': '/camera/camera/color/image_raw',
        'camera_info_topic': '/camera/camera/color/camera_info',
    },
    # zed-ros2-wrapper 33dfefa (5.4.1): zed_camera.launch.py, the left camera, bgra8. Rectified.
    'zed': {
        'image_topic': '/zed/zed_node/rgb/color/rect/image',
        'camera_info_topic': '/zed/zed_node/rgb/color/rect/camera_info',
    },
    # The same driver before 5.1.0, which renamed the images.
    'zed_before_5_1': {
        'image_topic': '/zed/zed_node/rgb/image_rect_color',
        'camera_info_topic': '/zed/zed_node/rgb/camera_info',
    },
    # depthai-ros b39899f (jazzy) and 9132443 (humble): camera.launch.py, name oak. Raw images.
    'oak': {
        'image_topic': '/oak/rgb/image_raw',
        'camera_info_topic': '/oak/rgb/camera_info',
    },
    # usb_cam 772b25f: camera.launch.py, which calls its only camera camera1. Raw images.
    'usb_cam': {
        'image_topic': '/camera1/image_raw',
        'camera_info_topic': '/camera1/camera_info',
    },
    # The same node by itself: ros2 run usb_cam usb_cam_node_exe.
    'usb_cam_node': {'image_topic': '/image_raw', 'camera_info_topic': '/camera_info'},
}


def generate_launch_description() -> LaunchDescription:
    """The arguments, then the localizer on the topics of that camera."""
    return LaunchDescription([*arguments(), OpaqueFunction(function=localize)])


def arguments() -> list[DeclareLaunchArgument]:
    """On top of those of localize.launch.py."""
    return [
        DeclareLaunchArgument(
            'camera',
            choices=list(CAMERAS),
            description='driver whose topics are taken, as its own launch file names them',
        ),
        DeclareLaunchArgument('map', description='folder of the map to localise in'),
        DeclareLaunchArgument(
            'image_topic',
            default_value='',
            description='topic of the camera images; empty: that of the driver',
        ),
        DeclareLaunchArgument(
            'camera_info_topic',
            default_value='',
            description='topic of the calibration; empty: that of the driver',
        ),
    ]


def localize(context: LaunchContext) -> list[IncludeLaunchDescription]:
    """localize.launch.py with the topics of the camera, where none are given."""
    values = context.launch_configurations
    known = CAMERAS[values['camera']]
    if values['image_topic'] and not values['camera_info_topic']:
        known = {**known, 'camera_info_topic': ''}  # beside the images that were named
    topics = [(name, values[name] or known[name]) for name in ('image_topic', 'camera_info_topic')]
    path = str(Path(__file__).parent / 'localize.launch.py')
    return [
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(path),
            launch_arguments=[('map', values['map']), *topics],
        )
    ]
