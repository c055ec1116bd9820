# SPDX-License-Identifier: MIT
"""`selavpr features`: global and local features of images, as hloc reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selavpr_model.cli.options import SIZE, Size, sized, WholeModel, with_configs
from selavpr_model.errors import ConfigError, SourceError


@with_configs
def features(
    images: Annotated[Path, typer.Argument(help='folder of images, with those of its folders')],
    out: Annotated[Path, typer.Option(help='HDF5 file (NAME.h5) to write')],
    extractor: WholeModel,
    local: Annotated[
        bool, typer.Option('--local', help='local features, too: about 1 MB an image')
    ] = False,
    size: Size = SIZE,
) -> None:
    """Write features of images for hloc: global_descriptor, and keypoints with descriptors.

    An image is named by its path below the folder, as in pairs.txt of selavpr evaluate.

    Example: selavpr features data/images --out build/selavpr.h5
    """
    from selavpr_model.data.listing import list_images
    from selavpr_model.evaluation.export.hloc import write_features
    from selavpr_model.features.extractor import load_extractor

    if out.is_dir() or not out.absolute().parent.is_dir():
        raise ConfigError(f'--out: expected a file in an existing folder, got {out}')
    files = list_images(images, recursive=True) if images.is_dir() else []
    if not files:
        raise SourceError(f'{images}: expected a folder of images, got none')
    written = write_features(out, files, images, load_extractor(sized(extractor, size)), local)
    typer.echo(f'{out}: {written} of {len(files)} images')
