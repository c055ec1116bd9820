# SPDX-License-Identifier: MIT
"""How maps are made: built, shared among processes, merged, calibrated, inspected."""
