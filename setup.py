# SPDX-License-Identifier: MIT
"""Install selavpr with pip, for machines without ROS (training, evaluation, maps).

On a robot `colcon build` does this instead, see CMakeLists.txt. The version comes from
package.xml and the executables from setup.cfg, so neither can drift.
"""

import os
from pathlib import Path
import xml.etree.ElementTree as ElementTree

from setuptools import Extension, find_packages, setup

HERE = Path(__file__).resolve().parent
os.chdir(HERE)  # sources of extensions are found from here
PACKAGE = ElementTree.parse(HERE / 'package.xml').getroot()


def kernel(name: str, *depends: str) -> Extension:
    """native/NAME.cpp, loaded with ctypes; optional: without a compiler torch does its work."""
    return Extension(
        f'selavpr_model._{name}',
        [f'native/{name}.cpp'],
        depends=list(depends),
        language='c++',
        extra_compile_args=['-O3', '-std=c++17', '-pthread', '-w'],
        extra_link_args=['-pthread'],
        optional=True,
    )


setup(
    name='selavpr',
    version=PACKAGE.findtext('version'),
    description=' '.join((PACKAGE.findtext('description') or '').split()),
    license='MIT',
    packages=find_packages(include=('selavpr_model*', 'selavpr_ros*')),
    package_data={
        'selavpr_model': ['shipped/*.safetensors', 'shipped/*.json', 'evaluation/report/*.html']
    },
    ext_modules=[
        kernel('mutual', 'native/tile.h', 'native/rounded.h'),
        kernel('trunk', 'native/vnni.h', 'native/attention.h'),
    ],
    python_requires='>=3.10',
    install_requires=[
        'faiss-cpu>=1.7.4',
        'Jinja2>=3.0',
        'matplotlib>=3.5',
        'numpy>=1.21',
        'onnx>=1.14',
        'opencv-python-headless>=4.5',
        'PyYAML>=5.4',
        'rich>=12',
        'rosbags>=0.9.20',
        'safetensors>=0.4',
        'scipy>=1.8',
        'tensorboardX>=2.6',
        'threadpoolctl>=3.1',
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
