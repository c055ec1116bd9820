# SPDX-License-Identifier: MIT
"""What people are shown of a map."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from selavpr_model.data.source_report import SourceReport
from selavpr_model.runtime.shown import one_line

MOST = 2000  # characters of a row
WITHOUT_POSES = (
    'this map names the place and shows its picture, one frame at a time; it gives no position, '
    'no belief over time and no loop closures in metres: for these build it with poses (--poses)'
)


def describe(manifest: dict[str, Any]) -> dict[str, object]:
    """The lines people want of a manifest."""
    model, counts = manifest['model'], manifest['counts']
    note = f', {model["note"]}' if model['note'] else ''
    size = sum(entry['bytes'] for entry in manifest['files'].values())
    return {
        'map id': f'{manifest["map_id"]} revision {manifest["revision"]}',
        'created': f'{manifest["created"]} by selavpr {manifest["selavpr_version"]}',
        'model': f'{model["weights"]} {model["fingerprint"][:12]}{note}',
        'places': f'{counts["places"]}, {counts["with_pose"]} with a pose in '
        f'frame {manifest["frame_id"]!r}',
        'features': f'{model["global_dim"]} global, '
        f'{"x".join(map(str, model["local_shape"]))} local as {manifest["local_dtype"]}',
        'size': f'{megabytes(size)}, {size / max(1, counts["places"]) / 1e3:.0f} kB a place',
        'source': _source_line(manifest['source']),
        **_changes_lines(manifest['source']),
        **_images_line(manifest['source']),
        **({} if counts['with_pose'] else {'without poses': WITHOUT_POSES}),
        'calibration': _calibration_line(manifest['calibration']),
    }


def _images_line(source: dict[str, Any]) -> dict[str, object]:
    """How many images were found, left out and why, and had a pose from what; where it is said."""
    if 'images' not in source or 'posed' not in source:
        return {}
    known = {name: source[name] for name in ('lost', 'left_out') if name in source}
    poses = source.get('poses') or 'none'
    report = SourceReport(source['images'], source['posed'], poses, **known)
    return {'images': report.words()} | {
        f'note {k}': note for k, note in enumerate(source.get('notes', ()), 1)
    }


def covered_lines(covered: dict[str, Any]) -> dict[str, object]:
    """What a map covers; covered: Coverage.to_dict, empty where it is not known."""
    if not covered:
        return {}
    sessions = ', '.join(
        f'{name or "(no name)"} {one["places"]} places{_where(one)}'
        for name, one in covered['sessions'].items()
    )
    lines: dict[str, object] = {'sessions': sessions}
    if covered['looks']:
        lines['coverage'] = (
            f'{covered["way_m"]:.0f} m of way, {covered["area_m2"]:.0f} m² within '
            f'{covered["radius_m"]:g} m of a place'
        )
        looks = (f'{count} in {n}' for n, count in covered['looks'].items())
        lines['looks'] = f'places by the number of sessions that show them: {", ".join(looks)}'
        lines['gaps'] = _gaps_line(covered['gaps'])
    if covered['names']:
        lines['names'] = ', '.join(f'{name} ({count})' for name, count in covered['names'].items())
    return lines


def _gaps_line(gaps: list[dict[str, Any]]) -> str:
    if not gaps:
        return 'none'
    longest = gaps[0]
    return (
        f'{len(gaps)}, the longest {longest["length_m"]:.1f} m from place {longest["before"]} to '
        f'{longest["after"]}'
    )


def _where(session: dict[str, Any]) -> str:
    if not session['aligned']:
        return ' in its own odometry'
    return f' on {session["way_m"]:.0f} m' if session['posed'] else ''


def _changes_lines(source: dict[str, Any]) -> dict[str, object]:
    """Drives that added looks, and what was left out at which cost."""
    lines: dict[str, object] = {}
    for number, one in enumerate(source.get('updates', ()), 1):
        lines[f'update {number}'] = f'{one["looks"]} looks of session {one["session"]}'
    for number, one in enumerate(source.get('pruned', ()), 1):
        lines[f'pruned {number}'] = _pruned_line(one)
    return lines


def _pruned_line(told: dict[str, Any]) -> str:
    said = f'{told["places_before"]} places to {told["places"]}'
    if loss := told.get('loss'):
        said += (
            f'; {loss["asked"]} of those left out, asked again: right {loss["right_before"]:.1%} '
            f'before and {loss["right_after"]:.1%} after, sure {loss["sure_before"]:.1%} and '
            f'{loss["sure_after"]:.1%}'
        )
    if drive := told.get('drive'):
        said += (
            f'; {drive["path"]}: {drive["localized_before"]:.1%} LOCALIZED before, '
            f'{drive["localized_after"]:.1%} after'
        )
    return said


def _source_line(source: dict[str, Any]) -> str:
    if 'maps' not in source:
        said = {'images', 'posed', 'lost', 'left_out', 'notes', 'updates', 'pruned'}  # below
        return ', '.join(f'{k} {v}' for k, v in source.items() if k not in said)
    parts = (f'{part["path"]} ({len(part["new_ids"])} new ids)' for part in source['maps'])
    return f'merge of {", ".join(parts)}'


def _calibration_line(values: dict[str, Any] | None) -> str:
    if values is None:
        return 'none'
    confidence = values['confidence']
    words = f'on {confidence["positives"]} right and {confidence["negatives"]} wrong answers'
    return ', '.join(
        f'{k} {v:.4g}' if isinstance(v, float) else f'{k} {v}'
        for k, v in {**values, 'confidence': words}.items()
    )


def megabytes(size: int) -> str:
    return f'{size / 1e6:.1f} MB'


def show(title: str, rows: dict[str, object]) -> None:
    table = Table(show_header=False)
    for name, value in rows.items():
        table.add_row(name, Text(one_line(str(value), MOST)))  # no markup of others
    console = Console()
    console.print(title, soft_wrap=True, highlight=False, markup=False)
    console.print(table)
