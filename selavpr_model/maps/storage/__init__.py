# SPDX-License-Identifier: MIT
"""Maps on disk: manifest, checksums, atomic writing, verified reading."""
