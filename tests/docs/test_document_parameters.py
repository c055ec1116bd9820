# SPDX-License-Identifier: MIT
"""docs/parameters.md is what its tool prints, and names every setting once."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import yaml

from selavpr_ros.config import GROUPS, is_advanced, NOT_OF_THE_NODE, ROS_PARAMETERS

from where import ROOT

PAGE = (ROOT / 'docs' / 'parameters.md').read_text(encoding='utf-8')


def test_the_page_is_what_the_tool_prints() -> None:
    words = [sys.executable, str(ROOT / 'tools' / 'document_parameters.py')]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert printed == PAGE, 'run: python tools/document_parameters.py --write'


def test_first_the_parameters_then_the_advanced_sections_each_setting_once() -> None:
    first, _, advanced = PAGE.partition('\n## Advanced\n')
    assert re.findall(r'^\| `([\w.]+)` ', first, re.M) == list(ROS_PARAMETERS)
    sections = re.split(r'^### `(\w+)` ', advanced, flags=re.M)
    found = {
        f'{section}.{key}'.removeprefix('node.')
        for section, text in zip(sections[1::2], sections[2::2], strict=True)
        for key in re.findall(r'^\| `(\w+)` ', text, re.M)
    }
    expected = {
        f'{prefix}.{field.name}'.lstrip('.')
        for prefix, cls in GROUPS.items()
        for field in dataclasses.fields(cls)
        if is_advanced(prefix, field.name)
    }
    assert found == expected and not expected & {*ROS_PARAMETERS, *NOT_OF_THE_NODE}


def test_its_example_of_a_file_is_taken(tmp_path) -> None:
    from selavpr_ros.node import advanced_config

    (example,) = re.findall(r'```yaml\n(.*?)```', PAGE, re.S)
    file = tmp_path / 'advanced.yaml'
    file.write_text(example)
    assert advanced_config.read(str(file)) == yaml.safe_load(example)
