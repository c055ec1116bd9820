# SPDX-License-Identifier: MIT
"""Visual place recognition with SelaVPR: the public names. Imports no ROS.

    import selavpr_model as selavpr

    extractor = selavpr.load_extractor()
    place_map = selavpr.build_map(selavpr.ImageFolder('summer'), extractor, out='maps/summer')
    recognizer = selavpr.PlaceRecognizer(extractor, place_map)
    answer = recognizer.process(selavpr.Frame(stamp_ns, image))

Names in `__all__` keep their meaning between minor versions; everything else may change. They are
loaded when they are first used (PEP 562), so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    'Camera': 'records',
    'Candidate': 'records',
    'Extractor': 'features.extractor',
    'ExtractorConfig': 'config',
    'Features': 'records',
    'Frame': 'records',
    'GeometryConfig': 'config',
    'ImageFolder': 'data.image_folder',
    'KeyframeConfig': 'config',
    'LoopClosure': 'records',
    'MapConfig': 'config',
    'MapError': 'errors',
    'Place': 'records',
    'PlaceMap': 'maps.place_map',
    'PlaceRecognizer': 'recognizer',
    'Recognition': 'records',
    'RecognizerConfig': 'config',
    'SelaVPRError': 'errors',
    'SlamConfigs': 'slam.records',
    'SlamSession': 'slam.session',
    'State': 'records',
    'TemporalConfig': 'config',
    'build_map': 'maps.building.builder',
    'evaluate': 'evaluation.evaluate',
    'load_extractor': 'features.extractor',
    'merge_maps': 'maps.building.merge',
    'open_dataset': 'data.datasets',
    'open_map': 'maps.storage.store',
    'save_map': 'maps.storage.store',
}
"""Public name -> the module that defines it."""

__all__ = sorted([*_HOME, '__version__'])


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    if name == '__version__':
        from selavpr_model.runtime.version import software_version

        value: Any = software_version()
    elif name in _HOME:
        value = getattr(importlib.import_module(f'{__name__}.{_HOME[name]}'), name)
    else:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
