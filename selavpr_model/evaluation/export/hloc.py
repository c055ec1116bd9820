# SPDX-License-Identifier: MIT
"""Features of images as hloc keeps them: an HDF5 file with a group for each image."""

from __future__ import annotations

from collections.abc import Sequence
import logging
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.data.decode import read_rgb
from selavpr_model.errors import InputError, SourceError
from selavpr_model.features.extractor import Extractor
from selavpr_model.matching.nearest import cell_pixels
from selavpr_model.records import Features
from selavpr_model.runtime.needs import needs
from selavpr_model.runtime.progress import progress_bar

logger = logging.getLogger(__name__)
UNCERTAINTY_CELLS = 0.5
"""Half the distance between two cells: how well a feature says where it is."""


def write_features(
    path: Path, files: Sequence[Path], root: Path, extractor: Extractor, local: bool = False
) -> int:
    """The number of images that were written; what cannot be read is left out with a warning.

    A group is named by the path below `root`. It has `global_descriptor` (D,) float32; with
    `local` also `keypoints` (N, 2) x, y in px of the image, centres of pixels whole,
    `descriptors` (C, N) float16 and `image_size` (2,) width, height. SourceError where no image
    can be read. MissingPackageError without h5py.
    """
    with needs('h5py', extra='hloc'):
        import h5py
    part, written = path.with_name(f'{path.name}.part'), 0
    with h5py.File(part, 'w') as out:
        for file in progress_bar(files, 'features', unit='image'):
            try:
                image = read_rgb(file)
            except InputError as error:
                logger.warning('%s', error)
                continue
            group = out.create_group(file.relative_to(root).as_posix())
            _write(group, extractor.extract(image), image.shape[:2], extractor, local)
            written += 1
    if not written:
        part.unlink()
        raise SourceError(f'{root}: expected images, none of {len(files)} can be read')
    part.replace(path)
    return written


def _write(
    group: Any, features: Features, size: tuple[int, int], extractor: Extractor, local: bool
) -> None:
    group.create_dataset('global_descriptor', data=features.global_)
    if not local:
        return
    h, w, channels = features.local.shape
    points = cell_pixels((h, w), extractor.input_size, size)
    cells = features.local.reshape(-1, channels).T
    group.create_dataset('keypoints', data=points)
    group['keypoints'].attrs['uncertainty'] = UNCERTAINTY_CELLS * size[1] / w
    group.create_dataset('descriptors', data=cells.astype(np.float16))
    group.create_dataset('image_size', data=np.array(size[::-1]))
