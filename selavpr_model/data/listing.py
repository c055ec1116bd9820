# SPDX-License-Identifier: MIT
"""Which files of a folder are images, in which order, and which are left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
import re

from selavpr_model.errors import SourceError

SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.tif', '.tiff', '.bmp', '.pgm', '.ppm')
UNREAD = (
    '.heic', '.heif', '.avif', '.gif', '.jp2', '.jxl', '.exr', '.raw', '.dng', '.nef', '.cr2',
    '.cr3', '.arw', '.orf', '.rw2', '.svg', '.psd',
)  # fmt: skip
"""Images, too, but of formats that are not read."""
IMAGE_FOLDERS = ('', 'images', 'frames', 'rgb', 'color', 'image')
DEPTH = re.compile(r'\.depth(\.\w+)?$')


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sort key that puts image_2 before image_10; names equal but for zeros stay ordered."""
    parts = re.split(r'(\d+)', name)
    # digits are matched by \d also outside ASCII, and int() reads those as well
    return [int(p) if i % 2 else p for i, p in enumerate(parts)], name


def list_images(folder: Path, recursive: bool = False) -> list[Path]:
    """The images of a folder in natural order of their names; depth maps are left out."""
    paths = folder.rglob('*') if recursive else folder.glob('*')
    names = {p for p in paths if p.suffix.lower() in SUFFIXES and not p.name.startswith('.')}
    images = (p for p in names if not DEPTH.search(p.stem) and p.is_file())
    return sorted(images, key=lambda p: natural_key(p.relative_to(folder).as_posix()))


def left_out(folders: Iterable[Path]) -> dict[str, int]:
    """Reason -> files of these folders that are images, but not used."""
    reasons: Counter[str] = Counter()
    for path in (p for folder in folders for p in sorted(folder.glob('*'))):
        suffix = path.suffix.lower()
        if path.is_symlink() and not path.exists() and suffix in SUFFIXES:
            reasons['links to nothing'] += 1
        if path.name.startswith('.') or not path.is_file():
            continue
        if suffix in UNREAD:
            reasons[f'{suffix} (convert to jpg or png)'] += 1
        elif suffix in SUFFIXES and DEPTH.search(path.stem):
            reasons['depth maps'] += 1
    return dict(reasons)


def find_images(path: Path) -> list[Path]:
    """The images of `path`, or of the first of its usual sub-folders that has any."""
    if not path.is_dir():
        got = 'a file' if path.exists() else 'nothing: it does not exist'
        raise SourceError(f'{path}: expected a folder of images, got {got}')
    for name in IMAGE_FOLDERS:
        files = list_images(path / name) if (path / name).is_dir() else []
        if files:
            return files
    kinds, places = ', '.join(SUFFIXES), ', '.join(f'{n}/' for n in IMAGE_FOLDERS[1:])
    unread = left_out(path / name for name in IMAGE_FOLDERS)
    got = ', '.join(f'{n} {why}' for why, n in unread.items()) or _below(path)
    raise SourceError(f'{path}: expected images ({kinds}) in it or in its {places}; got {got}')


def _below(path: Path) -> str:
    """`none`, or which sub-folders have images."""
    below = [p.name for p in sorted(path.glob('*')) if p.is_dir() and list_images(p, True)]
    return f'none, but below {", ".join(below[:6])}; give one of these' if below else 'none'
