# SPDX-License-Identifier: MIT
"""Two views of one place: rays, two-view motion, metric pose and the verdict."""
