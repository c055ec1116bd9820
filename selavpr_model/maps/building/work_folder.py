# SPDX-License-Identifier: MIT
"""The work folder of a map build: what was asked for, and the places done so far."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import hashlib
import json
import logging
import os
from pathlib import Path
import shutil
from typing import Any
import uuid

from selavpr_model.errors import MapError, MapNotFoundError
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage import reader, writer
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.records import ModelIdentity

logger = logging.getLogger(__name__)
PLAN = 'plan.json'
PLAN_ENTRY = 'plan'  # in configs of the finished map
NO_FILES = 'none'


def files_state(path: object) -> str:
    """Changes whenever a file at or below `path` does; only names, sizes and times are read."""
    root = Path(str(path))
    if path is None or not root.exists():
        return NO_FILES
    digest = hashlib.sha256()
    for file in sorted([root, *root.rglob('*')]):
        with contextlib.suppress(OSError):  # a file that vanishes meanwhile, a link to nowhere
            state = file.stat()
            digest.update(f'{file} {state.st_size} {state.st_mtime_ns}\n'.encode(errors='replace'))
    return digest.hexdigest()


class WorkFolder:
    """`<out>.building`, or another `ending`: plan.json and chunk-NNNNNN, each a small map.

    A chunk appears by the atomic save of a map, so one that can be opened is complete.
    """

    def __init__(self, out: Path, plan: dict[str, Any], ending: str = 'building') -> None:
        """plan: all that the features depend on, as JSON values."""
        self.out = out
        here = out.resolve()  # `.` has no name
        self.path = here.parent / f'{here.name}.{ending}'
        self.plan: dict[str, Any] = json.loads(json.dumps(plan, default=str))
        self._chunks = 0

    def is_done(self) -> bool:
        """Whether `out` is already what this plan makes: killed between saving and tidying."""
        stored = self._stored()
        if stored.get('plan') != self.plan:
            return False
        with contextlib.suppress(MapError):
            return reader.read_manifest(self.out)['map_id'] == stored['map_id']
        return False

    @property
    def digest(self) -> str:
        """SHA-256 of the plan."""
        return hashlib.sha256(json.dumps(self.plan, sort_keys=True).encode()).hexdigest()

    def was_done(self) -> bool:
        """Whether `out` is what this plan made and nothing has changed since: the work folder may
        be gone. Only files say that a source is the same.
        """
        if self.plan.get('files', NO_FILES) == NO_FILES:
            return False
        with contextlib.suppress(MapError):
            manifest = reader.read_manifest(self.out)
            made_by = manifest['configs'].get(PLAN_ENTRY, {}).get('sha256')
            return bool(manifest['revision'] == 1 and made_by == self.digest)
        return False

    @contextlib.contextmanager
    def locked(self) -> Iterator[str]:
        """Hold the folder alone; yields the map_id. Another plan's leftovers are deleted."""
        with contextlib.ExitStack() as stack:
            with writer.writing(self.path):  # not around what the caller does
                writer.make_folder(self.path)
                stack.enter_context(writer.lock(self.path))
                map_id = self._prepare()
            yield map_id

    def _prepare(self) -> str:
        stored = self._stored()
        if stored.get('plan') == self.plan:
            return stored['map_id']
        if any(self.path.glob('chunk-*')):
            logger.warning('%s: of another source, model or setting; starting anew', self.path)
        self._drop(0)
        stored = {'map_id': str(uuid.uuid4()), 'plan': self.plan}
        fresh = self.path / f'{PLAN}.new'
        with fresh.open('w') as file:
            json.dump(stored, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path / PLAN)
        writer.sync_folder(self.path)
        return stored['map_id']

    def _stored(self) -> dict[str, Any]:
        """plan.json, or nothing where it is missing or damaged."""
        try:
            stored = json.loads((self.path / PLAN).read_bytes())
        except (OSError, ValueError):
            return {}
        good = isinstance(stored, dict) and isinstance(stored.get('map_id'), str)
        return stored if good else {}

    def chunks(self, identity: ModelIdentity) -> Iterator[PlaceMap]:
        """The chunks on disk, in order; from the first damaged one on they are deleted."""
        while self._folder(self._chunks).exists():
            try:
                chunk = open_map(self._folder(self._chunks), identity)
            except MapError as error:
                if not isinstance(error, MapNotFoundError):  # not just one that a kill cut short
                    logger.warning('extracting again from there on: %s', error)
                with writer.writing(self.path):
                    self._drop(self._chunks)
                return
            self._chunks += 1
            yield chunk

    def append(self, chunk: PlaceMap) -> None:
        save_map(chunk, self._folder(self._chunks))
        self._chunks += 1

    def _folder(self, number: int) -> Path:
        return self.path / f'chunk-{number:06d}'

    def _drop(self, first: int) -> None:
        """Delete chunk `first` and all after it, last one first: no gap, also if killed here."""
        for folder in sorted(self.path.glob('chunk-*'), reverse=True):
            if folder >= self._folder(first):
                shutil.rmtree(folder)

    def remove(self) -> None:
        """Delete everything, the plan last: killed here, the next build still sees it was done."""
        with writer.writing(self.path):
            self._drop(0)
            shutil.rmtree(self.path, ignore_errors=True)
