# SPDX-License-Identifier: MIT
"""Every error a user can meet. One line each: what, expected, got, cure."""

MOST = 2000  # characters; what was got may be a file of a stranger


class SelaVPRError(Exception):
    """Base of all errors this package raises on purpose; `code` is the LoadMap/SaveMap name."""

    code = 'FAILURE'

    def __str__(self) -> str:
        """One line, cut in the middle where it is long, without what a terminal would obey."""
        text = super().__str__()
        if len(text) > MOST:
            half = MOST // 2
            text = f'{text[:half]}...({len(text) - 2 * half} more)...{text[-half:]}'
        return ''.join(c if c.isprintable() else ' ' for c in text)


class ConfigError(SelaVPRError, ValueError):
    """A configuration value is unknown, of the wrong type or out of range."""


class InputError(SelaVPRError, ValueError):
    """An image, pose or file handed in cannot be used."""


class WeightsError(SelaVPRError):
    """Weights are missing, damaged, unsafe or do not fit the architecture."""


class EngineError(SelaVPRError):
    """An inference engine cannot run here; the text says why and what would help."""


class MissingPackageError(SelaVPRError):
    """A package of an extra is not installed; the text has the line that installs it."""


class SourceError(SelaVPRError):
    """A data set, image folder or bag cannot be read as asked."""


class MapError(SelaVPRError):
    """Base of what can be wrong with a map on disk."""


class MapNotFoundError(MapError):
    code = 'MAP_DOES_NOT_EXIST'


class MapDataError(MapError):
    """A map file is truncated, damaged, of the wrong shape or not finite."""

    code = 'INVALID_DATA'


class MapMetadataError(MapError):
    """The manifest cannot be parsed or lacks a field."""

    code = 'INVALID_METADATA'


class MapEmptyError(MapError):
    """The map holds no place."""

    code = 'INVALID_DATA'


class MapVersionError(MapError):
    code = 'UNSUPPORTED_VERSION'


class MapModelError(MapError):
    """The map was made by another model, other weights or another preprocessing."""

    code = 'MODEL_MISMATCH'


class MapExistsError(MapError):
    code = 'EXISTS'


class MapSpaceError(MapError):
    """The disk is full or the folder cannot be written."""

    code = 'NO_SPACE'


class MapMemoryError(MapError):
    """The map does not fit into memory."""

    code = 'OUT_OF_MEMORY'


class MapBusyError(MapError):
    """Another process is writing this map."""

    code = 'BUSY'
