# SPDX-License-Identifier: MIT
"""Files of weights, opened safely: what they claim is checked before torch may allocate it.

No pickle is ever run: torch's restricted reader makes tensors alone, and before it a reader that
makes nothing looks how large the tensors say they are.
"""

from __future__ import annotations

from collections.abc import Mapping
import io
import json
from pathlib import Path
import pickle
import re
from typing import Any, BinaryIO, NamedTuple
import zipfile

import numpy as np
from safetensors import safe_open, SafetensorError
import torch
from torch import Tensor

from selavpr_model.errors import WeightsError
from selavpr_model.features import foreign

MAX_BYTES = 16 << 30
"""Of a file; the largest DINOv2 has 4.6 GB."""
MAX_PICKLE = 64 << 20
MAX_JSON = 4 << 20
MAX_DEPTH = 32
AGAIN = 'download it again, and compare its size'
_LEGACY = 0x1950A86A20F9469CFC6C
_SIZES = {
    'DoubleStorage': 8, 'LongStorage': 8, 'ComplexDoubleStorage': 16, 'ComplexFloatStorage': 8,
    'FloatStorage': 4, 'IntStorage': 4, 'HalfStorage': 2, 'BFloat16Storage': 2, 'ShortStorage': 2,
}  # fmt: skip
# What the official training script pickled beside the tensors: the recalls, a numpy array.
_ALLOWED = (
    'numpy._core.multiarray._reconstruct', 'numpy._core.multiarray.scalar',
    'numpy.core.multiarray._reconstruct', 'numpy.core.multiarray.scalar',
)  # fmt: skip


def kind_of(path: Path) -> str:
    """'safetensors', 'zip' or 'legacy' (torch's old format) by the first bytes; WeightsError."""
    size = path.stat().st_size
    with path.open('rb') as file:
        head = file.read(4096)
    if told := foreign.by_bytes(head):
        raise WeightsError(f'weights: {path}: {told}')
    if size > MAX_BYTES:
        raise WeightsError(f'weights: {path}: expected at most {MAX_BYTES} bytes, got {size}')
    if head[8:9] == b'{' or path.suffix == '.safetensors':
        return 'safetensors'
    if head.startswith(b'PK'):
        return 'zip'
    if head.startswith(b'\x80'):
        return 'legacy'
    raise WeightsError(
        f'weights: {path}: expected .safetensors, .pth or .pt, got {size} bytes that begin with '
        f'{head[:8]!r}; it is damaged or of another program: {AGAIN}'
    )


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """(the text metadata, tensors); WeightsError for a damaged file."""
    try:
        with safe_open(path, framework='pt') as file:
            metadata = dict(file.metadata() or {})
            return metadata, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise WeightsError(f'weights: {path} is damaged ({_line(error)}); {AGAIN}') from error


def shallow_json(text: str, what: str) -> dict[str, Any]:
    """A JSON object out of a file of a stranger; WeightsError for another, or a deep one."""
    depth = most = 0
    marks = r'"[^"\\]*(?:\\.[^"\\]*)*"|([\[{])|([\]}])'
    for mark in re.finditer(marks, text if len(text) <= MAX_JSON else ''):
        depth += bool(mark[1]) - bool(mark[2])
        most = max(most, depth)
    if len(text) > MAX_JSON or most > MAX_DEPTH:
        raise WeightsError(
            f'{what}: expected at most {MAX_JSON} characters {MAX_DEPTH} deep, got {len(text)}, '
            f'{most} deep'
        )
    try:
        value = json.loads(text)
    except ValueError as error:
        raise WeightsError(f'{what} is damaged ({_line(error)}); {AGAIN}') from error
    if not isinstance(value, dict):
        raise WeightsError(f'{what}: expected an object, got {type(value).__name__}')
    return value


def read_pickle(path: Path, kind: str) -> Mapping[Any, Any]:
    """Tensors, and the numpy recalls of the official script, and nothing else."""
    try:
        (_check_zip if kind == 'zip' else _check_legacy)(path)
        with torch.serialization.safe_globals(_numpy_globals()):
            data = torch.load(path, map_location='cpu', weights_only=True)
    except WeightsError:
        raise
    except Exception as error:  # torch raises many types for a bad file; all mean the same here
        raise WeightsError(f'weights: {path} is unsafe or damaged: {_cause(error)}') from error
    if isinstance(data, Tensor) or not isinstance(data, Mapping):
        raise WeightsError(
            f'weights: {path}: expected a state dict of named tensors, got {type(data).__name__}'
        )
    return data


def _cause(error: Exception) -> str:
    """What torch says without its advice to load unsafely."""
    found = re.search(r'GLOBAL ([\w.]+)', str(error))
    if found or isinstance(error, _ForbiddenError):
        name = found[1] if found else str(error)
        return (
            f'it holds Python objects ({name}) beside tensors, which are never run; ask its '
            'author for a state dict, torch.save(model.state_dict(), FILE)'
        )
    if 'weights_only' in str(error):
        return f'it is no file of tensors; {AGAIN}'
    return f'{_line(error)}; {AGAIN}'


def _line(error: Exception) -> str:
    text = (str(error).splitlines() or [''])[0][:160] or type(error).__name__
    return ''.join(c if c.isprintable() else '?' for c in text)


class _ForbiddenError(Exception):
    """A class that no state dict needs."""


class Claim(NamedTuple):
    """What a pickle says of a storage."""

    key: str
    size: int


class _Nothing:
    """Stands for every object of a pickle that is looked at and not run."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, *_: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        pass

    def extend(self, _: Any) -> None:
        pass

    def add(self, _: Any) -> None:
        pass


class _Looker(pickle._Unpickler):  # in Python: its memo is a dict
    """Reads a pickle and makes nothing of it; `claims` are the storages it names."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.claims: list[Claim] = []

    def find_class(self, module: str, name: str) -> Any:
        if not isinstance(module, str) or not isinstance(name, str):
            raise _ForbiddenError('a class without a name')
        return type(str(name)[:99] or 'x', (_Nothing,), {})

    def persistent_load(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != 'storage':
            raise ValueError('it refers to something that is no storage')
        kind = getattr(pid[1], '__name__', '')
        if type(pid[4]) is not int or pid[4] < 0:
            raise ValueError('a storage without a size')
        self.claims.append(Claim(str(pid[2]), pid[4] * _SIZES.get(kind, 1)))
        return _Nothing()


class _Bounded:
    """A file that refuses to read more than it has."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size

    def read(self, count: int) -> bytes:
        if not 0 <= count <= min(self.size - self.file.tell(), MAX_PICKLE):
            raise ValueError(f'{count} bytes are claimed where {self.size} are')
        return self.file.read(count)

    def readline(self) -> bytes:
        return self.file.readline(1 << 16)


def _check_zip(path: Path) -> None:
    """WeightsError unless it is an archive of tensors that are as large as the pickle says."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise WeightsError(
            f'weights: {path}: the archive of {path.stat().st_size} bytes is cut or damaged '
            f'({_line(error)}); {AGAIN}'
        ) from error
    with archive:
        members = {info.filename: info for info in archive.infolist()}
        pickled = [name for name in members if re.fullmatch(r'[^/]+/data\.pkl', name)]
        if any(name.endswith(('/constants.pkl', '/code/')) for name in members):
            raise WeightsError(
                f'weights: {path}: it is TorchScript, a program; import a state dict, '
                'torch.save(torch.jit.load(FILE).state_dict(), NEW)'
            )
        if len(pickled) != 1:
            raise WeightsError(
                f'weights: {path}: it is an archive without tensors of torch; unpack it and '
                'import the file inside'
            )
        sizes = {name: _stored(info, path) for name, info in members.items()}
        looker = _Looker(_Bounded(_opened(archive, pickled[0]), sizes[pickled[0]]))
        looker.load()
        folder = pickled[0].removesuffix('data.pkl')
        for key, size in looker.claims:
            if size > sizes.get(f'{folder}data/{key}', 0):
                raise WeightsError(
                    f'weights: {path}: tensor data {key[:40]!r} should have {size} bytes, got '
                    f'{sizes.get(f"{folder}data/{key}", 0)}; {AGAIN}'
                )


def _opened(archive: zipfile.ZipFile, name: str) -> BinaryIO:
    return io.BytesIO(archive.read(name))


def _stored(info: zipfile.ZipInfo, path: Path) -> int:
    size = info.file_size
    if info.compress_type != zipfile.ZIP_STORED or size > path.stat().st_size:
        raise WeightsError(
            f'weights: {path}: {info.filename[:60]!r} of {size} bytes is compressed, which torch '
            'never does; save it with torch.save'
        )
    return size


def _check_legacy(path: Path) -> None:
    """WeightsError unless the tensors of a file of torch's old format fit into it."""
    size = path.stat().st_size
    with path.open('rb') as file:
        bounded = _Bounded(file, size)
        magic = _Looker(bounded).load()
        if magic != _LEGACY:
            raise _ForbiddenError('a pickle that is not of torch')
        _Looker(bounded).load()
        _Looker(bounded).load()
        looker = _Looker(bounded)
        looker.load()
    total = sum({claim.key: claim.size for claim in looker.claims}.values())
    if total > size:
        raise WeightsError(
            f'weights: {path}: its tensors should have {total} bytes, the file has {size}; {AGAIN}'
        )


def _numpy_globals() -> list[Any]:
    multiarray = getattr(np, '_core', None) or np.core  # numpy 1 has only `core`
    functions = (multiarray.multiarray._reconstruct, multiarray.multiarray.scalar)
    allowed: list[Any] = [(f, name) for name in _ALLOWED for f in functions if f.__name__ in name]
    kinds = {type(np.dtype(code)) for code in ('f4', 'f8', 'i4', 'i8', '?')}
    return [*allowed, np.ndarray, np.dtype, *kinds]
