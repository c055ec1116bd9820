# SPDX-License-Identifier: MIT
"""How good answers are: recall, trust, trials, and the scores of drives and SLAM runs."""
