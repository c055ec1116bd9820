# SPDX-License-Identifier: MIT
"""Every default of selavpr, once, with its unit, range and help text.

ROS parameters, command line options, YAML keys and the README's table are derived from these
classes or tested against them. Objects are frozen and checked when they are made.
"""

from selavpr_model.config.decision import RecognizerConfig, TemporalConfig
from selavpr_model.config.evaluation import (
    DatasetConfig,
    EvaluationConfig,
    ReplayConfig,
    ScoreConfig,
)
from selavpr_model.config.geometry import GeometryConfig
from selavpr_model.config.graph import GraphConfig
from selavpr_model.config.maps import CalibrationConfig, KeyframeConfig, MapConfig, UpdateConfig
from selavpr_model.config.model import ExtractorConfig, ModelConfig
from selavpr_model.config.options import Config
from selavpr_model.config.slam import SlamConfig
from selavpr_model.config.training import (
    AugmentConfig,
    MiningConfig,
    SourceConfig,
    TrainConfig,
)

__all__ = [
    'AugmentConfig',
    'CalibrationConfig',
    'Config',
    'DatasetConfig',
    'EvaluationConfig',
    'ExtractorConfig',
    'GeometryConfig',
    'GraphConfig',
    'KeyframeConfig',
    'MapConfig',
    'MiningConfig',
    'ModelConfig',
    'RecognizerConfig',
    'ReplayConfig',
    'ScoreConfig',
    'SlamConfig',
    'SourceConfig',
    'TemporalConfig',
    'TrainConfig',
    'UpdateConfig',
]
