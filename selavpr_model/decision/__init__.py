# SPDX-License-Identifier: MIT
"""From re-ranked candidates to a state: distinctness, ranking, confidence, belief, decision."""
