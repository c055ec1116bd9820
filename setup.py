# SPDX-License-Identifier: MIT
"""Install selavpr with pip, for machines without ROS (training, evaluation, maps).

On a robot `colcon build` does this instead, see CMakeLists.txt. The version comes from
package.xml and the executables from setup.cfg, so neither can drift.
"""

from pathlib import Path
import xml.etree.ElementTree as ElementTree

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
PACKAGE = ElementTree.parse(HERE / 'package.xml').getroot()

setup(
    name='selavpr',
    version=PACKAGE.findtext('version'),
    description=' '.join((PACKAGE.findtext('description') or '').split()),
    license='MIT',
    packages=find_packages(include=('selavpr_model*', 'selavpr_ros*')),
    python_requires='>=3.10',
    install_requires=[
        'faiss-cpu>=1.7.4',
        'matplotlib>=3.5',
        'numpy>=1.21',
        'onnx>=1.14',
        'opencv-python-headless>=4.5',
        'rich>=12',
        'rosbags>=0.9.20',
        'safetensors>=0.4',
        'scipy>=1.8',
        'torch>=2.6',
        'tqdm>=4.57',
        'typer>=0.12',
    ],
    extras_require={
        'gpu': ['faiss-gpu-cu12>=1.8', 'torch-tensorrt>=2.2'],
        'dev': ['hypothesis', 'mypy', 'pytest', 'pytest-timeout', 'ruff'],
    },
    zip_safe=False,
)
