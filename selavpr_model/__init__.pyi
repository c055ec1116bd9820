# SPDX-License-Identifier: MIT
# What type checkers and editors see of the lazy names in __init__.py; a test compares both.
from selavpr_model.config import ExtractorConfig as ExtractorConfig
from selavpr_model.config import GeometryConfig as GeometryConfig
from selavpr_model.config import KeyframeConfig as KeyframeConfig
from selavpr_model.config import MapConfig as MapConfig
from selavpr_model.config import RecognizerConfig as RecognizerConfig
from selavpr_model.config import TemporalConfig as TemporalConfig
from selavpr_model.data.datasets import open_dataset as open_dataset
from selavpr_model.data.image_folder import ImageFolder as ImageFolder
from selavpr_model.errors import MapError as MapError
from selavpr_model.errors import SelaVPRError as SelaVPRError
from selavpr_model.evaluation.evaluate import evaluate as evaluate
from selavpr_model.features.extractor import Extractor as Extractor
from selavpr_model.features.extractor import load_extractor as load_extractor
from selavpr_model.maps.building.builder import build_map as build_map
from selavpr_model.maps.building.merge import merge_maps as merge_maps
from selavpr_model.maps.place_map import PlaceMap as PlaceMap
from selavpr_model.maps.storage.store import open_map as open_map
from selavpr_model.maps.storage.store import save_map as save_map
from selavpr_model.recognizer import PlaceRecognizer as PlaceRecognizer
from selavpr_model.records import Camera as Camera
from selavpr_model.records import Candidate as Candidate
from selavpr_model.records import Features as Features
from selavpr_model.records import Frame as Frame
from selavpr_model.records import LoopClosure as LoopClosure
from selavpr_model.records import Place as Place
from selavpr_model.records import Recognition as Recognition
from selavpr_model.records import State as State
from selavpr_model.slam.records import SlamConfigs as SlamConfigs
from selavpr_model.slam.session import SlamSession as SlamSession

__version__: str
