# SPDX-License-Identifier: MIT
"""tf2_msgs/TFMessage; None where the package is not installed, as with rclpy from PyPI.

Without it the node neither hears /tf_static, so that base_camera has to be given, nor
publishes /tf.
"""

from __future__ import annotations

try:
    from tf2_msgs.msg import TFMessage
except ImportError:
    TFMessage = None

__all__ = ['TFMessage']
