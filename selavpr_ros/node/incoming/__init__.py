# SPDX-License-Identifier: MIT
"""What arrives beside the images, judged before it is used."""
