# SPDX-License-Identifier: MIT
"""What holds the package together: version, executables, layers, declared needs, messages."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from where import ROOT

MODEL = sorted((ROOT / 'selavpr_model').rglob('*.py'))
ROS = sorted((ROOT / 'selavpr_ros').rglob('*.py'))
INTERFACES = sorted([*ROOT.glob('msg/*.msg'), *ROOT.glob('srv/*.srv')])
PACKAGE = ElementTree.parse(ROOT / 'package.xml').getroot()
