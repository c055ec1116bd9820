# SPDX-License-Identifier: MIT
"""`extractor.threads` bounds all that computes, as the processor time of each thread says."""

from __future__ import annotations

import json
import os
from pathlib import Path
import subprocess
import sys

import pytest

WORK = """
import json, sys
from pathlib import Path
from selavpr_model.runtime.threads import share_cores
share_cores()
import cv2, faiss, numpy as np
from selavpr_model.config import ExtractorConfig
from selavpr_model.features.extractor import load_extractor
from selavpr_model.matching.local_codec import DenseCodec
from selavpr_model.matching.nearest import count_mutual

def ticks():
    found = {}
    for task in Path('/proc/self/task').iterdir():
        fields = (task / 'stat').read_text().rsplit(')', 1)[1].split()
        found[task.name] = int(fields[11]) + int(fields[12])
    return found

threads, precision = int(sys.argv[1]), sys.argv[2]
config = ExtractorConfig(random_weights=True, threads=threads, engine='fused', precision=precision)
extractor, before = load_extractor(config), ticks()
noise = np.random.default_rng(0)
image = noise.integers(0, 256, (480, 640, 3)).astype(np.uint8)
for _ in range(4):
    features = extractor.extract(cv2.GaussianBlur(image, (31, 31), 5))
codec = DenseCodec(extractor.identity.local_shape)
codes = codec.encode(features)
count_mutual(codes, [codes] * 20)
vectors = noise.random((20_000, 384), np.float32)
index = faiss.IndexFlatIP(384)
index.add(vectors)
index.search(vectors[:200], 100)
faiss.Kmeans(384, 64, niter=4).train(vectors)
[vectors[:2000] @ vectors[:2000].T for _ in range(4)]
spent = sorted((t - before.get(name, 0) for name, t in ticks().items()), reverse=True)
print(json.dumps(spent))
"""
LITTLE = 0.05  # of all processor time: a thread that only waits


@pytest.mark.skipif(not Path('/proc/self/task').is_dir(), reason='reads Linux /proc')
@pytest.mark.parametrize('precision', ['fp32', 'int8'])
def test_one_thread_does_all_the_work_when_one_is_asked_for(precision, tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.endswith('_NUM_THREADS')}
    run = subprocess.run(
        [sys.executable, '-c', WORK, '1', precision],
        env={**environment, 'SELAVPR_HOME': str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    first, *others = json.loads(run.stdout.splitlines()[-1])
    assert first > 20  # ticks of 10 ms: it did work
    assert sum(others) < LITTLE * first
