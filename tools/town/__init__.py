# SPDX-License-Identifier: MIT
"""A procedural town for Cycles: everything is made from a seed, nothing is downloaded."""
