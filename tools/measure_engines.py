#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Our network against ONNX Runtime's and OpenVINO's: ms a forward pass, and what int8 costs.

Every engine runs ViT-S (the usual weights) and ViT-L (those of a formula) on the same images, one
after the other in each round. The cosines are those of the global features with plain fp32's.
onnxruntime quantises weights and activations by itself (quantize_dynamic), OpenVINO by nncf on 30
other images with its settings for transformers. An engine that is not installed is left out:
pip install onnx onnxscript onnxruntime openvino nncf, into a venv of their own.

Example: python tools/measure_engines.py --models vits,vitl --threads 2
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
import statistics
import tempfile

import numpy as np
import torch

from selavpr_model.benchmark.formula_weights import formula_network
from selavpr_model.benchmark.maps import image_files
from selavpr_model.benchmark.query import VITS
from selavpr_model.benchmark.scale import interleaved, settings
from selavpr_model.config import ExtractorConfig
from selavpr_model.data.image_folder import read_rgb
from selavpr_model.errors import EngineError
from selavpr_model.features import weights
from selavpr_model.features.checkpoint import build_network, Checkpoint
from selavpr_model.features.engines.engine import build, Engine
from selavpr_model.features.extractor import Extractor, identify
from selavpr_model.features.network import SelaVPR
from selavpr_model.features.onnx_export import INPUT, write_onnx
from selavpr_model.runtime.threads import limit_threads

SPED = Path('../shared/data/sped')
CALIBRATION = 30  # images that nncf sees
Global = Callable[[np.ndarray], np.ndarray]  # (1, 3, H, W) -> (D,)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--models', default='vits', help='vits, vitl or both')
    parser.add_argument('--data', type=Path, default=SPED, help='folder with ref/ and query/')
    parser.add_argument('--images', type=int, default=40, help='that are compared')
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--threads', type=int, default=2)
    given = parser.parse_args()
    limit_threads(given.threads)
    print(settings()['machine'], settings()['instruction_sets'], given.threads, 'threads')
    for name in given.models.split(','):
        measure(name, given)


def measure(name: str, given: argparse.Namespace) -> None:
    """Prints a line for each engine."""
    network = build_network(weights.load(VITS)[0]) if name == 'vits' else formula_network('vitl14')
    config, checkpoint = (
        ExtractorConfig(weights=name, device='cpu'),
        Checkpoint(network.config, {}),
    )
    extractor = Extractor(network, identify(network, checkpoint, config, ''), config)

    def images(folder: str, count: int) -> list[np.ndarray]:
        files = image_files(given.data / folder, count)
        return [extractor.preprocess(read_rgb(file))[None].numpy() for file in files]

    seen, asked = images('ref', CALIBRATION), images('query', given.images)
    with tempfile.TemporaryDirectory() as folder:
        engines = dict(ours(network, extractor.input_size))
        engines |= theirs(network, extractor.input_size, Path(folder), seen, given.threads)
        exact = np.stack([engines['plain fp32'](image) for image in asked])

        def task(run: Global) -> Callable[[int], object]:
            return lambda number: run(asked[number % len(asked)])

        tasks = {engine: task(run) for engine, run in engines.items()}
        for engine, times in interleaved(tasks, given.rounds).items():
            found = np.stack([engines[engine](image) for image in asked])
            cosines = np.sum(found * exact, axis=1)
            print(
                f'{name} {engine}: {statistics.median(times):.1f} ms (least {min(times):.1f}), '
                f'cosine mean {cosines.mean():.4f}, least {cosines.min():.4f}', flush=True,
            )  # fmt: skip


def ours(network: SelaVPR, size: tuple[int, int]) -> Iterator[tuple[str, Global]]:
    """Plain PyTorch and the fused engine's precisions that run here."""
    for name, precision in (('eager', 'fp32'), ('fused', 'fp32'), ('fused', 'int8')):
        try:
            engine = build(network, size, name, precision)
        except EngineError as error:
            print(error)
            continue
        yield 'plain fp32' if name == 'eager' else str(engine), by_torch(engine)


def by_torch(engine: Engine) -> Global:
    @torch.inference_mode()
    def run(image: np.ndarray) -> np.ndarray:
        return np.asarray(engine.run(torch.from_numpy(image))[0][0])

    return run


def theirs(
    network: SelaVPR, size: tuple[int, int], folder: Path, seen: list[np.ndarray], threads: int
) -> Iterator[tuple[str, Global]]:
    """What is installed of ONNX Runtime and OpenVINO, fp32 and int8."""
    exact, small = folder / 'network.onnx', folder / 'int8.onnx'
    write_onnx(exact, network, size)
    try:
        from onnxruntime.quantization import quant_pre_process, quantize_dynamic
    except ImportError as error:
        print(error)
    else:
        yield 'onnxruntime fp32', by_onnxruntime(exact, threads)
        shaped = folder / 'shaped.onnx'
        quant_pre_process(exact, shaped, skip_symbolic_shape=True)
        quantize_dynamic(shaped, small, per_channel=True)
        yield 'onnxruntime int8', by_onnxruntime(small, threads)
    try:
        import openvino
    except ImportError as error:
        print(error)
        return
    model = openvino.Core().read_model(exact)
    model.reshape({INPUT: [1, 3, *size]})
    yield 'openvino fp32', by_openvino(model, threads)
    try:
        import nncf
    except ImportError as error:
        print(error)
        return
    quantised = nncf.quantize(
        model, nncf.Dataset(seen), model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(seen), fast_bias_correction=True,
    )  # fmt: skip
    yield 'openvino int8', by_openvino(quantised, threads)


def by_onnxruntime(path: Path, threads: int) -> Global:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, ['CPUExecutionProvider'])
    return lambda image: np.asarray(session.run(None, {INPUT: image})[0][0])


def by_openvino(model: object, threads: int) -> Global:
    """All three outputs are computed, as in our engines."""
    import openvino

    hints = {'INFERENCE_NUM_THREADS': threads, 'PERFORMANCE_HINT': 'LATENCY'}
    compiled = openvino.compile_model(model, 'CPU', hints)
    return lambda image: np.array(compiled([image])[0][0])


if __name__ == '__main__':
    main()
