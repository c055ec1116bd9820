# SPDX-License-Identifier: MIT
"""One file a data set: how its folders become images, positions and positives."""
