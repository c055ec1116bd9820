# SPDX-License-Identifier: MIT
"""stub"""

import importlib

_W = {
    'load_extractor': 'features.extractor',
    'Extractor': 'features.extractor',
    'ExtractorConfig': 'config',
    'PlaceMap': 'maps.place_map',
    'build_map': 'maps.building.builder',
    'merge_maps': 'maps.building.merge',
    'MapConfig': 'config',
    'KeyframeConfig': 'config',
    'PlaceRecognizer': 'recognizer',
    'RecognizerConfig': 'config',
    'TemporalConfig': 'config',
    'GeometryConfig': 'config',
    'SlamSession': 'slam.session',
    'SlamConfigs': 'slam.slam_records',
    **dict.fromkeys(
        [
            'Frame',
            'Features',
            'Camera',
            'Place',
            'Candidate',
            'Recognition',
            'State',
            'LoopClosure',
        ],
        'records',
    ),
    'ImageFolder': 'data.image_folder',
    'open_dataset': 'data.datasets',
    'evaluate': 'evaluation.evaluate',
    'SelaVPRError': 'errors',
    'MapError': 'errors',
}
__version__ = '0.1.0'
__all__ = [*_W, '__version__']


def __getattr__(n):
    if n == 'open_map':
        from selavpr_model.maps.place_map import PlaceMap

        return PlaceMap.open
    if n in _W:
        return getattr(importlib.import_module('selavpr_model.' + _W[n]), n)
    raise AttributeError(n)
