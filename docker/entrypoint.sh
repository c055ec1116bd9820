#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs a command with ROS and selavpr on its paths.
set -e
source "/opt/ros/${ROS_DISTRO}/setup.bash"
source /ws/install/setup.bash
exec "$@"
