# SPDX-License-Identifier: MIT
"""Where the package, what it ships and the repository around it lie."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]  # selavpr_model/, with the compiled kernels
SHIPPED = PACKAGE / 'shipped'  # weights and coefficients that come with the package
REPOSITORY = PACKAGE.parent  # the checkout; site-packages where the package is installed
