# SPDX-License-Identifier: MIT
"""Build a map from a bag or a folder of images, then exit.

    ros2 launch selavpr build_map.launch.py source:=~/bags/campus map:=~/maps/campus

It runs `selavpr map build`, which has a few more options. If it is killed, the same command goes
on where it stopped.
"""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch_ros.substitutions import ExecutableInPackage

from launch import LaunchContext, LaunchDescription

DEFAULT = '; empty: the default of `selavpr map build`'
# Argument -> option of `selavpr map build`; empty ones are left out.
OPTIONS = {
    'poses': '--poses',
    'image_topic': '--image-topic',
    'distance_m': '--distance-m',
    'angle_deg': '--angle-deg',
    'weights': '--weights',
    'device': '--device',
}


def generate_launch_description() -> LaunchDescription:
    """The arguments, then the command made of their values."""
    return LaunchDescription([*arguments(), OpaqueFunction(function=build)])


def arguments() -> list[DeclareLaunchArgument]:
    """Only `source` and `map` have to be given."""
    declare = DeclareLaunchArgument
    return [
        declare(
            'source',
            description='bag, video, or folder of images with poses, to build the map from',
        ),
        declare('map', description='folder that the map is written to'),
        declare(
            'poses',
            default_value='',
            description='pose topic of a bag, tf:FRAME, or pose file of a folder; none: a map '
            'without poses; empty: the poses that are found',
        ),
        declare(
            'image_topic',
            default_value='',
            description='topic of the images, for a bag with several cameras' + DEFAULT,
        ),
        declare(
            'distance_m',
            default_value='',
            description='distance in m after which a frame becomes a keyframe' + DEFAULT,
        ),
        declare(
            'angle_deg',
            default_value='',
            description='angle in degrees after which a frame becomes a keyframe' + DEFAULT,
        ),
        declare(
            'weights',
            default_value='',
            description='name or file of the weights of the network' + DEFAULT,
        ),
        declare(
            'device',
            default_value='',
            description='device that runs the network: auto, cpu, cuda or cuda:N' + DEFAULT,
        ),
        declare(
            'overwrite',
            default_value='false',
            choices=['true', 'false'],
            description='whether a map that already exists in the folder is replaced',
        ),
    ]


def build(context: LaunchContext) -> list[ExecuteProcess]:
    """The command line."""
    values = context.launch_configurations
    source, out = (str(Path(values[name]).expanduser().absolute()) for name in ('source', 'map'))
    words = [ExecutableInPackage('selavpr', 'selavpr'), 'map', 'build', source, '--out', out]
    for name, option in OPTIONS.items():
        if values[name]:
            words += [option, values[name]]
    if values['overwrite'] == 'true':
        words.append('--overwrite')
    return [ExecuteProcess(cmd=words, output='screen', emulate_tty=True)]
