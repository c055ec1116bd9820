# SPDX-License-Identifier: MIT
"""Localise a camera in a map.

    ros2 launch selavpr localize.launch.py map:=~/maps/campus image_topic:=/camera/image_raw

Each value comes from the last of these that gives it: the node's own default, params_file, an
argument. An argument that is left empty is not passed on, so it overrides nothing.
"""

from pathlib import Path, PurePosixPath

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import LifecycleNode, Node

from launch import LaunchContext, LaunchDescription

NODE_DEFAULT = '; empty: as params_file says, else the default of the node'
declare = DeclareLaunchArgument
ON_OFF = ['', 'true', 'false']

# Argument -> parameter of the node.
TEXTS = {
    'map': 'map',
    'mode': 'mode',
    'advanced_config': 'advanced_config',
    'image_transport': 'image_transport',
    'qos_image': 'qos_image',
    'rectified': 'rectified',
    'map_frame': 'map_frame',
    'base_frame': 'base_frame',
    'odom_frame': 'odom_frame',
    'weights': 'extractor.weights',
    'device': 'extractor.device',
}
SWITCHES = {
    'autostart': 'autostart',
    'use_sim_time': 'use_sim_time',
    'publish_tf': 'publish_tf',
    'initialpose': 'initialpose',
}
# As Nav2's: a robot with a namespace has a tree of transforms of its own.
TREE = [('/tf', 'tf'), ('/tf_static', 'tf_static')]


def generate_launch_description() -> LaunchDescription:
    """The arguments, then what start() makes of their values."""
    return LaunchDescription([*arguments(), OpaqueFunction(function=start)])


def arguments() -> list[DeclareLaunchArgument]:
    """Only `map` and `image_topic` have to be given."""
    return [*topics(), *frames(), *model(), *files(), *running()]


def topics() -> list[DeclareLaunchArgument]:
    """What the node works on."""
    return [
        declare('map', description='folder of the map to localise in (selavpr map build)'),
        declare('image_topic', description='topic of the camera images'),
        declare(
            'camera_info_topic',
            default_value='',
            description='topic of the camera calibration; empty: camera_info beside image_topic',
        ),
        declare(
            'rectified',
            default_value='',
            choices=['', 'auto', 'yes', 'no'],
            description='whether the images are rectified, so that P of the calibration holds and '
            'not K and D; auto: as the name of image_topic says (image_rect)' + NODE_DEFAULT,
        ),
        declare(
            'odom_topic',
            default_value='odom',
            description='topic of the odometry, which may be absent',
        ),
        declare(
            'image_transport',
            default_value='',
            choices=['', 'raw', 'compressed'],
            description='form of the images: raw, or compressed on <image_topic>/compressed'
            + NODE_DEFAULT,
        ),
        declare(
            'qos_image',
            default_value='',
            choices=['', 'sensor_data', 'reliable'],
            description='QoS of the subscription to images: sensor_data is best effort and hears '
            'every publisher, reliable hears reliable publishers only' + NODE_DEFAULT,
        ),
    ]


def frames() -> list[DeclareLaunchArgument]:
    """Whose pose is published, and in which frame."""
    return [
        declare(
            'map_frame',
            default_value='',
            description='frame in which poses are published' + NODE_DEFAULT,
        ),
        declare(
            'base_frame',
            default_value='',
            description='frame of the robot whose pose is published' + NODE_DEFAULT,
        ),
        declare(
            'base_camera',
            default_value='',
            description='pose of the camera in base_frame, T_base_camera (optical axes), as '
            'x,y,z,qx,qy,qz,qw in m and quaternion; empty: as params_file says, else /tf_static',
        ),
        declare(
            'odom_frame', default_value='', description='frame of the odometry' + NODE_DEFAULT
        ),
        declare(
            'publish_tf',
            default_value='',
            choices=ON_OFF,
            description='whether map_frame -> odom_frame is published on /tf; only one node may '
            'do so, so not beside AMCL' + NODE_DEFAULT,
        ),
        declare(
            'initialpose',
            default_value='',
            choices=ON_OFF,
            description='whether the pose is sent on initialpose each time the robot is found'
            + NODE_DEFAULT,
        ),
    ]


def model() -> list[DeclareLaunchArgument]:
    """What is done with images, and with which network."""
    return [
        declare(
            'mode',
            default_value='',
            choices=['', 'localize', 'update', 'slam'],
            description='what the node does with images: localize finds places in a fixed map, '
            'update also adds the looks of this drive, slam lets the map grow' + NODE_DEFAULT,
        ),
        declare(
            'weights',
            default_value='',
            description='name or file of the weights; must be those that the map was built with'
            + NODE_DEFAULT,
        ),
        declare(
            'device',
            default_value='',
            description='device that runs the network: auto, cpu, cuda or cuda:N' + NODE_DEFAULT,
        ),
    ]


def files() -> list[DeclareLaunchArgument]:
    """Settings of all kinds."""
    return [
        declare(
            'params_file',
            default_value='',
            description='YAML file of ROS parameters, such as config/localize.yaml; empty: none',
        ),
        declare(
            'advanced_config',
            default_value='',
            description='YAML file with the settings that are no ROS parameters, such as '
            'config/advanced.yaml' + NODE_DEFAULT,
        ),
    ]


def running() -> list[DeclareLaunchArgument]:
    """How the node is run."""
    return [
        declare(
            'namespace', default_value='', description='namespace of the node and of its topics'
        ),
        declare(
            'use_sim_time',
            default_value='',
            choices=ON_OFF,
            description='whether the node takes its time from /clock' + NODE_DEFAULT,
        ),
        declare(
            'autostart',
            default_value='',
            choices=ON_OFF,
            description='whether the node configures and activates by itself' + NODE_DEFAULT,
        ),
        declare(
            'log_level',
            default_value='info',
            choices=['debug', 'info', 'warn', 'error', 'fatal'],
            description='least severity that the node logs',
        ),
        declare(
            'rviz',
            default_value='false',
            choices=['true', 'false'],
            description='whether RViz is started; the package rviz2 must be installed',
        ),
    ]


def start(context: LaunchContext) -> list[Node]:
    """The localizer, and RViz where it is asked for."""
    values = context.launch_configurations
    nodes: list[Node] = [localizer(values)]
    if values['rviz'] == 'true':
        nodes.append(rviz(values))
    return nodes


def localizer(values: dict[str, str]) -> LifecycleNode:
    """The node with its remappings and parameters."""
    image = values['image_topic']
    logger = '.'.join([*values['namespace'].strip('/').split('/'), 'localizer']).lstrip('.')
    beside = str(PurePosixPath(image.removesuffix('/compressed')).parent / 'camera_info')
    return LifecycleNode(
        package='selavpr',
        executable='localizer',
        name='localizer',
        namespace=values['namespace'],
        remappings=[
            ('image', image),
            ('camera_info', values['camera_info_topic'] or beside),
            ('odom', values['odom_topic']),
            *TREE,
        ],
        # The file first, the arguments last: so they win.
        parameters=[*parameter_files(values), parameters(values)],
        ros_arguments=['--log-level', f'{logger}:={values["log_level"]}'],
        output='screen',
        emulate_tty=True,
    )


def parameter_files(values: dict[str, str]) -> list[str]:
    """params_file, checked here because the node would only say that it cannot parse it."""
    return [existing('params_file', values)] if values['params_file'] else []


def existing(name: str, values: dict[str, str]) -> str:
    """The absolute path of a file that an argument names."""
    path = Path(values[name]).expanduser().absolute()
    if not path.is_file():
        raise FileNotFoundError(f'{name}: there is no file {path}')
    return str(path)


def parameters(values: dict[str, str]) -> dict[str, object]:
    """Parameters that were given as arguments."""
    from launch_ros.parameter_descriptions import ParameterValue

    values = {**values, 'map': str(Path(values['map']).expanduser().absolute())}
    if values['advanced_config']:
        values['advanced_config'] = existing('advanced_config', values)
    # As text even where it reads like a number: map:=2024
    chosen: dict[str, object] = {
        parameter: ParameterValue(values[name], value_type=str)
        for name, parameter in TEXTS.items()
        if values[name]
    }
    switches = {p: values[name] == 'true' for name, p in SWITCHES.items() if values[name]}
    mounting = {'base_camera': numbers(values['base_camera'])} if values['base_camera'] else {}
    return {**chosen, **switches, **mounting}


def numbers(text: str) -> list[float]:
    """'[0.2, 0, 1, 0, 0, 0, 1]', with or without brackets."""
    try:
        values = [float(word) for word in text.strip('[]() ').split(',')]
    except ValueError:
        values = []
    if len(values) != 7:
        raise ValueError(f'base_camera: expected x,y,z,qx,qy,qz,qw, got {text!r}')
    return values


def rviz(values: dict[str, str]) -> Node:
    """RViz with the map, the matches, the pose and the annotated image."""
    topics = ('markers', 'pose', 'debug_image')
    return Node(
        package='rviz2',
        executable='rviz2',
        namespace=values['namespace'],
        arguments=['-d', str(Path(__file__).parent.parent / 'config' / 'selavpr.rviz')],
        # The file has absolute topics; made relative, they follow the namespace.
        remappings=[*((f'/localizer/{name}', f'localizer/{name}') for name in topics), *TREE],
        parameters=[{'use_sim_time': values['use_sim_time'] == 'true'}],
    )
