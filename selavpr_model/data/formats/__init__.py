# SPDX-License-Identifier: MIT
"""What other programs write: COLMAP models, EXIF tags, latitude and longitude."""
