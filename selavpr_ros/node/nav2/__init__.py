# SPDX-License-Identifier: MIT
"""What others ask of the node: Nav2's lifecycle manager leads it, RViz gives it a pose, a tracker
asks it for one.
"""
