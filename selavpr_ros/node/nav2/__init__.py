# SPDX-License-Identifier: MIT
"""What Nav2 asks of a node: to be led by its lifecycle manager, and to take RViz's pose."""
