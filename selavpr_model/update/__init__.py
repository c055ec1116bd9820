# SPDX-License-Identifier: MIT
"""A later drive adds what the places of a map look like now."""
