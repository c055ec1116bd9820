# SPDX-License-Identifier: MIT
"""What every part runs on: threads, stage clock, output files, paths, version, native code."""
