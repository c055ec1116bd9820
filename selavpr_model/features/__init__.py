# SPDX-License-Identifier: MIT
"""An image becomes features: backbone, adapters, weights, and the extractor around them."""
