# SPDX-License-Identifier: MIT
"""The command line: `selavpr evaluate|map|train|ablate|benchmark|export|weights`."""
