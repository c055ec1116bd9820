# SPDX-License-Identifier: MIT
"""Adapters, local head and global feature learn: data, objectives, trainer, run folder."""
