# SPDX-License-Identifier: MIT
"""Play a bag to the localizer. Takes the arguments of localize.launch.py, too.

    ros2 launch selavpr replay.launch.py bag:=demo/winter map:=maps/town \
        image_topic:=/camera/image image_transport:=compressed

The bag starts when model and map are loaded and the node is active. To score the answers, use
`selavpr replay`, which drops no frame.
"""

from pathlib import Path
import shlex

from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
    TimerAction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.event_handlers import OnStateTransition

from launch import LaunchContext, LaunchDescription

LAST_FRAME_S = 2.0  # for the answer to the last image of the bag


def generate_launch_description() -> LaunchDescription:
    """The node now, the bag once the node is active."""
    localize = str(Path(__file__).parent / 'localize.launch.py')
    passed = ('map', 'image_topic', 'use_sim_time')
    include = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(localize),
        launch_arguments=[(name, LaunchConfiguration(name)) for name in passed],
    )
    ready = OnStateTransition(goal_state='active', entities=[OpaqueFunction(function=play)])
    return LaunchDescription([*arguments(), RegisterEventHandler(ready), include])


def arguments() -> list[DeclareLaunchArgument]:
    """On top of those of localize.launch.py."""
    return [
        DeclareLaunchArgument('bag', description='folder or file of the ROS 2 bag'),
        DeclareLaunchArgument(
            'rate',
            default_value='1.0',
            description='speed of the bag as a multiple of the recorded speed',
        ),
        DeclareLaunchArgument(
            'exit_with_bag',
            default_value='true',
            choices=['true', 'false'],
            description='whether the launch ends when the bag ends',
        ),
        DeclareLaunchArgument(
            'bag_arguments', default_value='', description='further arguments for `ros2 bag play`'
        ),
        DeclareLaunchArgument(
            'use_sim_time',
            default_value='true',
            choices=['true', 'false'],
            description='whether the bag publishes /clock and the node takes its time from it',
        ),
    ]


def play(context: LaunchContext) -> list[LogInfo | ExecuteProcess]:
    """`ros2 bag play` with the arguments' values."""
    values = context.launch_configurations
    bag = str(Path(values['bag']).expanduser().absolute())
    words = ['ros2', 'bag', 'play', bag, '--rate', values['rate']]
    if values['use_sim_time'] == 'true':
        words.append('--clock')
    words += shlex.split(values['bag_arguments'])
    end = TimerAction(period=LAST_FRAME_S, actions=[Shutdown(reason='the bag has ended')])
    ended = [end] if values['exit_with_bag'] == 'true' else []
    return [
        LogInfo(msg=f'the localizer is active, playing {bag}'),
        ExecuteProcess(cmd=words, output='screen', on_exit=ended),
    ]
