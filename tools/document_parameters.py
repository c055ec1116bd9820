# SPDX-License-Identifier: MIT
"""docs/parameters.md from the configurations: prints it; --write puts it there."""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses
from pathlib import Path
import sys
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / 'docs' / 'parameters.md'

INTRODUCTION = """\
<!-- SPDX-License-Identifier: MIT -->
<!-- Made by tools/document_parameters.py --write. Edit the help texts, not this page. -->
# Parameters

The node has a default for every setting. {count} settings are ROS parameters. Set them in one of
three ways: in the file that the launch argument `params_file:=` names (see `config/localize.yaml`
and `config/slam.yaml`), by an argument of the launch file, or at run time:

```bash
ros2 param describe /localizer hypotheses
ros2 param set /localizer hypotheses 10
```

A wrong value is refused with its reason, also at run time. If a value is wrong at the start,
`~/status` names it with its cure, and the node stays unconfigured until it is right. If a
parameter does not exist, the log names it with the nearest one that does.

Changes at run time take effect at once, with these exceptions. Another `map` or `extractor.*` is
loaded beside the one in use, which stays in use if the new one fails. `slam.*`, `keyframes.*` and
`storage.*` take effect when SLAM is started again. `mode` takes effect when the node is configured
again; `~/set_mode` changes the mode at once.

Two environment variables count, too. `SELAVPR_HOME` is the folder of downloaded weights and of
rescued maps (default `~/.cache/selavpr`). `SELAVPR_ISA` limits the instruction set of the kernels
([how it works](how_it_works.md#an-image-becomes-features-features)).

## ROS parameters

"""

ADVANCED = """
## Advanced

All other settings are in one YAML file. Most of them are constants of the estimators. The
parameter or launch argument `advanced_config` names the file. It has sections with keys:

```yaml
recognizer:
  min_match_ratio: 1.5
temporal:
  motion_sigma_ratio: 0.2
```

`config/advanced.yaml` and `config/advanced_slam.yaml` are examples. An unknown section or key is
refused with the nearest name, and a wrong value with its range. A ROS parameter in the file is
refused, too, because each setting has one place. Setting `advanced_config` again reads the file
again; settings that it does not name have their defaults. In Python the same settings are fields
of the classes named below.
"""


def page() -> str:
    """The whole page."""
    from selavpr_ros.config import GROUPS, is_advanced, NODE_SECTION, ROS_PARAMETERS

    fields = {
        f'{prefix}.{f.name}'.lstrip('.'): f
        for prefix, cls in GROUPS.items()
        for f in dataclasses.fields(cls)
    }
    text = INTRODUCTION.format(count=len(ROS_PARAMETERS))
    text += table((name, fields[name]) for name in ROS_PARAMETERS) + ADVANCED
    for prefix, cls in GROUPS.items():
        rows = [(f.name, f) for f in dataclasses.fields(cls) if is_advanced(prefix, f.name)]
        text += f'\n### `{prefix or NODE_SECTION}` (`{cls.__name__}`)\n\n' + table(rows)
    return text


def table(rows: Iterable[tuple[str, dataclasses.Field[Any]]]) -> str:
    """One Markdown row a field: name, default, unit, range, what it is."""
    lines = ['| name | default | unit | range | what it is |', '|---|---|---|---|---|']
    for name, field in rows:
        unit, help_ = field.metadata['unit'], field.metadata['help'].replace('|', '\\|')
        help_ = help_.replace('<', '&lt;').replace('*', '\\*')
        lines.append(f'| `{name}` | {shown(field.default)} | {unit} | {span(field)} | {help_} |')
    return '\n'.join(lines) + '\n'


def shown(default: object) -> str:
    """A default as it is written in YAML."""
    if default is None:
        return 'not given'
    if isinstance(default, bool):
        return f'`{str(default).lower()}`'
    return f'`{default}`' if default != '' else '(empty)'


def span(field: dataclasses.Field[Any]) -> str:
    """The choices, or what the number must be; empty where anything goes."""
    meta = field.metadata
    if meta['choices']:
        return ', '.join(f'`{choice}`' for choice in meta['choices'])
    if meta['low'] is None:
        return '' if meta['high'] is None else f'at most {meta["high"]:g}'
    return (
        f'{meta["low"]:g} to {meta["high"]:g}'
        if meta['high'] is not None
        else (f'at least {meta["low"]:g}')
    )


def main() -> None:
    if '--write' in sys.argv:
        PAGE.write_text(page(), encoding='utf-8')
    else:
        sys.stdout.write(page())


if __name__ == '__main__':
    sys.path.insert(0, str(ROOT))
    main()
