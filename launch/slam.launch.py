# SPDX-License-Identifier: MIT
"""Let a map grow while driving, and publish the loops that close. Takes the arguments of
localize.launch.py, too.

    ros2 launch selavpr slam.launch.py map:=~/maps/new image_topic:=/camera/image_raw \
        odom_topic:=/odom

The map is saved in the folder `map` when the node ends. If the folder has a map already, that map
grows.
"""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

PASSED = ('map', 'image_topic', 'odom_topic', 'mode')


def generate_launch_description() -> LaunchDescription:
    """The localizer in its other mode."""
    localize = str(Path(__file__).parent / 'localize.launch.py')
    include = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(localize),
        launch_arguments=[(name, LaunchConfiguration(name)) for name in PASSED],
    )
    return LaunchDescription([*arguments(), include])


def arguments() -> list[DeclareLaunchArgument]:
    """On top of those of localize.launch.py."""
    declare = DeclareLaunchArgument
    return [
        declare(
            'map',
            description='folder that the map is saved in; a map that already exists there grows',
        ),
        declare('image_topic', description='topic of the camera images'),
        declare(
            'odom_topic',
            default_value='odom',
            description='topic of the odometry; without odometry a constant speed is assumed',
        ),
        declare(
            'mode',
            default_value='slam',
            choices=['slam', 'localize'],
            description='what the node does with images: slam lets the map grow, localize finds '
            'places in a fixed map',
        ),
    ]
