# SPDX-License-Identifier: MIT
"""The version of this software; package.xml alone states it."""

from __future__ import annotations

import functools
from importlib import metadata
from xml.etree import ElementTree

from selavpr_model.runtime.paths import REPOSITORY


@functools.lru_cache(maxsize=1)
def software_version() -> str:
    """Version of this package: as installed, or from the package.xml beside the sources."""
    try:
        return metadata.version('selavpr')
    except metadata.PackageNotFoundError:
        xml = REPOSITORY / 'package.xml'
        return (ElementTree.parse(xml).findtext('version') if xml.is_file() else None) or 'unknown'
