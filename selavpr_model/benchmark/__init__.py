# SPDX-License-Identifier: MIT
"""What a query, a map and an engine cost here, against references measured in the same run."""
