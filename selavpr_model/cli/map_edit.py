# SPDX-License-Identifier: MIT
"""`selavpr map edit`: removes, renames and names what is in a map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from selavpr_model.cli.map import Map
from selavpr_model.cli.map_show import describe, show
from selavpr_model.cli.options import JsonOut
from selavpr_model.errors import ConfigError
from selavpr_model.runtime.outputs import require_outputs, write_json

Out = Annotated[
    Path | None,
    typer.Option(help='folder of a new map; not given: the map itself is replaced, in one moment'),
]
Overwrite = Annotated[bool, typer.Option(help='replace a map that already exists in --out')]
Remove = Annotated[
    list[str] | None,
    typer.Option(help='places: ID, ID..ID, or ID@METRES for all within that distance of one'),
]
RemoveSession = Annotated[
    list[str] | None, typer.Option(help='name of a session, which goes with all its places')
]
RenameSession = Annotated[
    list[str] | None, typer.Option(metavar='OLD=NEW', help='another name for a session')
]
Name = Annotated[
    list[str] | None,
    typer.Option(
        metavar='NAME=PLACES',
        help='what people call these places, given as for --remove; hypotheses carry it; nothing '
        'before the = takes the name away',
    ),
]


def edit(
    map_: Map,
    remove: Remove = None,
    remove_session: RemoveSession = None,
    rename_session: RenameSession = None,
    name: Name = None,
    out: Out = None,
    overwrite: Overwrite = False,
    json_out: JsonOut = None,
) -> None:
    """Remove places and sessions, rename sessions, name places.

    Each option may come several times. Ids of places never change. Thresholds stay.

    Example: selavpr map edit maps/campus --remove 40..52 --name dock=12@3
    """
    from selavpr_model.maps.building.edit import edited, Edits
    from selavpr_model.maps.storage import writer
    from selavpr_model.maps.storage.store import open_map, save_map

    target = out or map_
    require_outputs(out, json_out)
    sessions = _pairs(rename_session or (), 'rename-session')
    labels = [(places, label) for label, places in _pairs(name or (), 'name')]
    edits = Edits(remove or (), remove_session or (), dict(sessions), labels)
    if not (remove or remove_session or sessions or labels):
        raise ConfigError(
            'map edit: expected --remove, --remove-session, --rename-session or --name, got none'
        )
    writer.require_free(target, overwrite or out is None)
    changed = edited(open_map(map_), edits)
    save_map(changed, target, overwrite=True)
    show(f'map {target}', describe(changed.manifest))
    write_json(json_out, changed.manifest)


def _pairs(given: Sequence[str], option: str) -> list[tuple[str, str]]:
    """What stands before the last = and what stands after it."""
    pairs = []
    for one in given:
        before, sign, after = one.rpartition('=')
        if not sign:
            raise ConfigError(f'--{option}: expected two texts with = between them, got {one!r}')
        pairs.append((before, after))
    return pairs
