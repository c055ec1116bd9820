# SPDX-License-Identifier: MIT
"""Files of weights with other bytes, names, shapes, types and headers, by number."""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
import pickle
import random
import struct
from typing import Any
import zipfile

import torch

from hostile.maps import RAW, VALUES
from selavpr_model.config import ModelConfig
from selavpr_model.features.checkpoint import Checkpoint, write_checkpoint
from selavpr_model.features.network import SelaVPR

SMALL = ModelConfig(blocks=1, local_head='tokens', serial_adapter=False, parallel_adapter=False)
GOOD = ('own.safetensors', 'new.pth', 'old.pth')
TRAP = 'campaign_trap'
"""A file that comes to be where a pickle is run."""


def make_good(folder: Path) -> None:
    """One small network as our file and as torch's new and old ones."""
    torch.manual_seed(0)
    state = SelaVPR(SMALL).state_dict()
    write_checkpoint(folder / GOOD[0], Checkpoint(SMALL, state))
    for name, new in zip(GOOD[1:], (True, False), strict=True):
        torch.save({'state_dict': state}, folder / name, _use_new_zipfile_serialization=new)


def hostile_weights(good: Path, out: Path, seed: int) -> tuple[Path, str]:
    """(a file in `out`, what was done)."""
    rng = random.Random(seed)
    name, change = rng.choice(CHANGES)
    file = out / name
    file.write_bytes(change((good / name).read_bytes(), rng))
    return file, f'{name} {change.__name__}'


def bytes_changed(raw: bytes, rng: random.Random) -> bytes:
    """Mostly where headers are: at the beginning and at the end."""
    changed = bytearray(raw)
    for _ in range(rng.choice([1, 4, 40])):
        at = rng.randrange(min(6000, len(raw)))
        where = rng.choice([at, len(raw) - 1 - at, rng.randrange(len(raw))])
        changed[where] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
    return bytes(changed)


def cut(raw: bytes, rng: random.Random) -> bytes:
    return raw[: rng.choice([0, 4, 100, rng.randrange(len(raw)), len(raw) - 1])]


def header_changed(raw: bytes, rng: random.Random) -> bytes:
    """Some value in the JSON of a safetensors file, however deep, is another or is gone."""
    length = struct.unpack('<Q', raw[:8])[0]
    header = json.loads(raw[8 : 8 + length])
    header['__metadata__']['selavpr'] = _own(header['__metadata__']['selavpr'], rng)
    entries = [key for key in header if key != '__metadata__']
    for key in rng.sample(entries, rng.choice([0, 1, 3])):
        _change(header, key, rng)
    text = rng.choice([json.dumps(header).encode()] * 9 + RAW)
    told = rng.choice([len(text)] * 9 + [0, 2**63, 2**64 - 1, len(text) - 1])
    return struct.pack('<Q', told) + text + raw[8 + length :]


def _own(text: str, rng: random.Random) -> str:
    """Our header in the header."""
    if rng.random() < 0.5:
        return text
    own = json.loads(text)
    model = own['model']
    _change(own, rng.choice(list(own)), rng) if rng.random() < 0.3 else _change(
        model, rng.choice(list(model)), rng
    )
    own['model'] = own.get('model', model)
    return rng.choice([json.dumps(own)] * 9 + [raw.decode(errors='replace') for raw in RAW])


def _change(node: dict[str, Any], key: str, rng: random.Random) -> None:
    entry = node[key]
    if isinstance(entry, dict) and 'shape' in entry and rng.random() < 0.8:
        shapes = [[], [1], [384], [2**40], [2**31, 2**31], [-1], [2**63], 'x', None, [0, 5]]
        part, values = rng.choice([
            ('shape', shapes),
            ('dtype', ['F64', 'F16', 'I64', 'BOOL', 'F8_E4M3', 'X', 7]),
            ('data_offsets', [[0, 0], [4, 0], [0, 2**60], [-1, 4], 'x', [0, 4]]),
        ])  # fmt: skip
        entry[part] = rng.choice(values)
    elif rng.random() < 0.2:
        del node[key]
    else:
        node[rng.choice([key, key, 'x' * 3000, '\x1b[2J\n'])] = rng.choice(VALUES)


def pickle_replaced(raw: bytes, rng: random.Random) -> bytes:
    """In the archive of torch: a pickle that runs, claims, repeats or nests."""
    import io

    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, 'w') as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith('data.pkl'):
                data = rng.choice(PICKLES) if rng.random() < 0.5 else bytes_changed(data, rng)
            elif rng.random() < 0.1:
                data, name = data[: rng.randrange(len(data) + 1)], rng.choice([name, '/etc/x'])
            new.writestr(name, data)
    return out.getvalue()


def pickle_before(raw: bytes, rng: random.Random) -> bytes:
    """The same in front of a file of the old kind."""
    return rng.choice(PICKLES) + raw[rng.choice([0, 20, 500]) :]


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f'open({TRAP!r}, "w")',)


PICKLES = [
    pickle.dumps(_Runs()), pickle.dumps({'state_dict': {'cls_token': _Runs()}}, 2),
    b'\x80\x02\x8e' + struct.pack('<Q', 2**40) + b'x', b'\x80\x02r' + b'\xff' * 4 + b'.',
    b'\x80\x02' + b'(' * 100_000, b'\x80\x02' + b']' * 10**6 + b'.', b'\x80\x02.', b'',
    b'\x80\x02cos\nsystem\n(S"touch ' + TRAP.encode() + b'"\ntR.',
    b'\x80\x02' + b']' + b'q\0' + b'h\0h\0\x86' * 10**5 + b'.',
    pickle.dumps({f'k{i}': i for i in range(10**5)}), pickle.dumps([[]] * 10**5),
]  # fmt: skip
CHANGES: list[tuple[str, Callable[[bytes, random.Random], bytes]]] = [
    *((name, bytes_changed) for name in GOOD), *((name, cut) for name in GOOD),
    (GOOD[0], header_changed), (GOOD[0], header_changed), (GOOD[0], header_changed),
    (GOOD[1], pickle_replaced), (GOOD[1], pickle_replaced), (GOOD[2], pickle_before),
]  # fmt: skip
