# SPDX-License-Identifier: MIT
"""One HTML page about a replay: its numbers, plots and example frames."""
