# SPDX-License-Identifier: MIT
"""One map built by many processes (torchrun): each extracts its part, the first joins them.

For maps that outgrow one machine; with several machines `out` is in a folder that all of them see.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
import hashlib
import itertools
import json
from pathlib import Path
import shutil
from typing import Any

from selavpr_model.config import KeyframeConfig, MapConfig, RecognizerConfig
from selavpr_model.errors import ConfigError, MapError
from selavpr_model.features.extractor import Extractor
from selavpr_model.maps.building.builder import build_map, Indexed, plan_of
from selavpr_model.maps.building.merge import merge_maps
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage import reader, writer
from selavpr_model.maps.storage.store import open_map
from selavpr_model.records import Frame
from selavpr_model.runtime.distributed import barrier, rank, world


def build_map_in_shards(
    frames: Iterable[Frame],
    extractor: Extractor,
    out: str | Path,
    *,
    keyframes: KeyframeConfig | None = None,
    config: MapConfig | None = None,
    recognizer: RecognizerConfig | None = None,
    source: dict[str, Any] | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> PlaceMap:
    """As build_map, shared among the processes of torchrun; every one returns the opened map.

    Process r of n takes the r-th of n consecutive parts of the frames. A part chooses its own
    keyframes and so begins with one: at most n - 1 places more than one process would find.
    Killed, the same command with as many processes goes on: parts that are done stay.
    """
    if world() == 1:
        return build_map(
            frames, extractor, out, keyframes=keyframes, config=config, recognizer=recognizer,
            source=source, overwrite=overwrite, progress=progress,
        )  # fmt: skip
    out, progress = Path(out), progress and rank() == 0
    writer.require_free(out, overwrite)
    folders = [_folder(out) / f'{r + 1}-of-{world()}' for r in range(world())]
    part = _part(frames), keyframes or KeyframeConfig(), config or MapConfig()
    _build_part(folders[rank()], extractor, *part, source or {}, progress)
    barrier()
    if rank() == 0:
        whole = _source_of(folders, source or {})
        merge_maps(folders, out, overwrite, progress=progress, source=whole)
        shutil.rmtree(_folder(out))
    barrier()
    return open_map(out, extractor.identity)


def _build_part(
    folder: Path, extractor: Extractor, frames: Iterable[Frame], keyframes: KeyframeConfig,
    config: MapConfig, source: dict[str, Any], progress: bool,
) -> None:  # fmt: skip
    """Build this process's part, unless that was done before a kill."""
    mine = {**source, 'shard': folder.name}
    mine['plan'] = _digest(plan_of(frames, extractor, keyframes, config, mine))
    if _is_done(folder, mine['plan']):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    build_map(
        frames, extractor, folder, keyframes=keyframes, config=config, source=mine,
        overwrite=True, progress=progress, calibrated=False,
    )  # fmt: skip


def _folder(out: Path) -> Path:
    here = out.resolve()
    return here.parent / f'{here.name}.shards'


def _part(frames: Iterable[Frame]) -> Iterable[Frame]:
    """This process's frames; what is read in order only is read from the start and passed over."""
    if not isinstance(frames, Sized):
        raise ConfigError('frames: expected a source of known length to share, got a stream')
    if len(frames) < world():
        raise ConfigError(
            f'frames: expected one for each of {world()} processes, got {len(frames)}'
        )
    first, last = (len(frames) * r // world() for r in (rank(), rank() + 1))
    if isinstance(frames, Indexed):
        return _Part(frames, first, last)
    return itertools.islice(frames, first, last)


@dataclass(frozen=True, slots=True)
class _Part:
    whole: Indexed
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, index: int) -> Frame:
        return self.whole[self.first + index]

    def __iter__(self) -> Iterator[Frame]:
        return map(self.__getitem__, range(len(self)))


def _digest(plan: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plan, sort_keys=True, default=str).encode()).hexdigest()


def _is_done(folder: Path, plan: str) -> bool:
    try:
        return bool(reader.read_manifest(folder)['source'].get('plan') == plan)
    except MapError:
        return False


def _source_of(folders: list[Path], source: dict[str, Any]) -> dict[str, Any]:
    """What the whole map says about where it came from: sums over the parts."""
    parts = [reader.read_manifest(folder)['source'] for folder in folders]
    sums = {key: sum(part[key] for part in parts) for key in ('frames', 'skipped')}
    same = {key: parts[0][key] for key in ('device', 'precision')}
    return {**source, **sums, **same, 'shards': len(parts)}
