# SPDX-License-Identifier: MIT
"""Files of recordings, read with every claimed length checked before anything is allocated."""
