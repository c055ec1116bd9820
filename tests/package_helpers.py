# SPDX-License-Identifier: MIT
"""What holds the package together: version, executables, layers, declared needs, messages."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ElementTree

from packaging.requirements import Requirement

from where import ROOT

MODEL = sorted((ROOT / 'selavpr_model').rglob('*.py'))
ROS = sorted((ROOT / 'selavpr_ros').rglob('*.py'))
INTERFACES = sorted([*ROOT.glob('msg/*.msg'), *ROOT.glob('srv/*.srv')])
PACKAGE = ElementTree.parse(ROOT / 'package.xml').getroot()


def requirements(part: str = '') -> list[Requirement]:
    """install_requires or an extra of setup.py, by default all of them."""
    parts: dict[str, list[str]] = {}
    for node in ast.walk(ast.parse((ROOT / 'setup.py').read_text())):
        if isinstance(node, ast.keyword) and node.arg == 'install_requires':
            parts['install_requires'] = ast.literal_eval(node.value)
        elif isinstance(node, ast.keyword) and node.arg == 'extras_require':
            parts |= ast.literal_eval(node.value)
    texts = parts[part] if part else [text for texts in parts.values() for text in texts]
    return [Requirement(text) for text in texts]
