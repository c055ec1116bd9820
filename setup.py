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


def kernel(name: str) -> Extension:
    """native/NAME.cpp, loaded with ctypes; optional: without a compiler torch does its work."""
    return Extension(
        f'selavpr_model._{name}',
        [f'native/{name}.cpp'],
        depends=sorted(str(p.relative_to(HERE)) for p in HERE.glob('native/*.h')),
        language='c++',
        # Multiply-adds are fused only where the code says so: all sets give the same bits.
        extra_compile_args=['-O3', '-std=c++17', '-pthread', '-w', '-ffp-contract=off'],
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
        'selavpr_model': [
            '*.pyi',
            'py.typed',
            'shipped/*.safetensors',
            'shipped/*.json',
            'evaluation/report/*.html',
        ],
        'selavpr_ros': ['py.typed'],
    },
    ext_modules=[kernel('mutual'), kernel('trunk')],
    python_requires='>=3.10',
    # What importing and running the node with a map needs, and `selavpr map build` of a folder.
    # Each line says why it is here; CONTRIBUTING.md says when something may be added.
    install_requires=[
        'faiss-cpu>=1.7.4',  # search among the global features of up to a million places
        'numpy>=1.21',  # everything that is no tensor
        'opencv-python-headless>=4.5',  # decodes, converts, resizes images; two-view geometry
        'PyYAML>=5.4',  # configuration files
        'rich>=12',  # tables in the terminal
        'safetensors>=0.4',  # weights: a format that cannot run code
        'scipy>=1.8',  # rotations, nearest poses, fits of the confidence
        'threadpoolctl>=3.1',  # bounds OpenMP and BLAS; nothing else reaches them all
        'torch>=2.6',  # the network
        'tqdm>=4.57',  # progress of what takes minutes
        'typer>=0.12',  # the `selavpr` command
    ],
    extras_require={
        'bags': [
            'backports.zstd>=1.0; python_version < "3.14"',  # unpacks chunks and files of bags
            'lz4>=4',  # unpacks chunks of bags
            'rosbags>=0.9.20',  # messages of bags without ROS, and writes bags: replay, maps
        ],
        'gpu': [
            'faiss-gpu-cu12>=1.8',  # the same search on the GPU
            'torch-tensorrt>=2.2',  # runs an exported engine
        ],
        'hloc': [
            'h5py>=3.6',  # features as hloc keeps them: `selavpr features`
        ],
        'onnx': [
            'onnxscript>=0.5',  # writes the network as ONNX: torch.onnx.export needs it
        ],
        'report': [
            'Jinja2>=3.0',  # fills the page of the report, and escapes what it puts there
            'matplotlib>=3.5',  # curves and pictures of evaluate, slam, benchmark and the report
        ],
        'rerun': [
            'rerun-sdk>=0.23',  # writes recordings for its viewer: --rerun of replay, slam, demo
        ],
        'train': [
            'matplotlib>=3.5',  # the picture of a training run
            'onnx>=1.14',  # training starts from the backbone that `weights` converts
            'tensorboardX>=2.6',  # TensorBoard logs without TensorFlow or tensorboard itself
        ],
        'weights': [
            'onnx>=1.14',  # converts the published backbone of selavpr_vits14, once a computer
        ],
        'dev': [
            'catkin-pkg>=0.5',  # checks package.xml
            'clang-format>=18',  # how native/ is laid out
            'codespell>=2.3',  # wrong spelling
            'evo>=1.28',  # what most people judge trajectories with: ours must be accepted
            'hypothesis>=6',  # inputs nobody thought of
            'mkdocs>=1.6',  # the documentation's site
            'mkdocstrings-python>=1.10',  # its page of the Python API
            'mypy>=1.10',  # wrong types
            'onnxruntime>=1.17',  # runs the exported network: it must give what torch gives
            'packaging>=21',  # compares versions in the tests
            'pytest>=8',  # the tests
            'pytest-timeout>=2',  # ends a test that hangs
            'pytest-xdist>=3.5',  # runs the tests on all cores
            'pycolmap>=3.11',  # reads the models that we export for COLMAP
            'ruff>=0.9',  # style and common mistakes
        ],
    },
    zip_safe=False,
)
