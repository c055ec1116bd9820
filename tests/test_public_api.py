# SPDX-License-Identifier: MIT
"""What a user may build on: the names of `selavpr_model`, lazy, typed and documented."""

from __future__ import annotations

import ast
import enum
import inspect
import subprocess
import sys

import pytest

import selavpr_model

from where import ROOT

NAMES = [
    *('Camera', 'Candidate', 'Features', 'Frame', 'LoopClosure', 'Place', 'Recognition', 'State'),
    *('ExtractorConfig', 'GeometryConfig', 'KeyframeConfig', 'MapConfig', 'RecognizerConfig'),
    *('SlamConfigs', 'TemporalConfig', 'MapError', 'SelaVPRError', '__version__'),
    *('Extractor', 'ImageFolder', 'PlaceMap', 'PlaceRecognizer', 'SlamSession'),
    *('build_map', 'evaluate', 'load_extractor', 'merge_maps', 'open_dataset', 'open_map'),
    'save_map',
]


def test_the_public_names_are_these_and_no_others():
    """Who removes a name breaks users; who adds one promises to keep it."""
    assert selavpr_model.__all__ == sorted(NAMES)
    assert set(NAMES) <= set(dir(selavpr_model))


@pytest.mark.parametrize('name', sorted(set(NAMES) - {'__version__'}))
def test_each_is_there_typed_and_documented(name):
    thing = getattr(selavpr_model, name)
    assert inspect.getdoc(thing) and thing.__module__.startswith('selavpr_model.')
    call = thing if inspect.isfunction(thing) else thing.__init__
    parameters = list(inspect.signature(call).parameters.values())
    untyped = [p.name for p in parameters if p.annotation is p.empty and p.name != 'self']
    assert not untyped or issubclass(thing, Exception | enum.Enum), untyped


def test_the_stub_for_type_checkers_has_the_same_names_from_the_same_modules():
    stub = ast.parse((ROOT / 'selavpr_model' / '__init__.pyi').read_text())
    homes = {
        alias.name: str(node.module).removeprefix('selavpr_model.')
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert homes == selavpr_model._HOME
    assert (ROOT / 'selavpr_model' / 'py.typed').is_file()


def test_importing_the_package_loads_none_of_what_it_offers():
    code = (
        'import sys, selavpr_model; print({"torch", "faiss", "cv2", "numpy"} & set(sys.modules))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout == 'set()\n'


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'selavpr_model' has no attribute 'Recogniser'"):
        selavpr_model.Recogniser  # noqa: B018
