# SPDX-License-Identifier: MIT
"""The two executables of setup.cfg. What is slow is imported where Ctrl-C is quiet."""

from __future__ import annotations

from collections.abc import Sequence

from selavpr_model.runtime.interrupt import quiet_interrupt


def main(args: Sequence[str] | None = None) -> None:
    """`localizer`: the node, until SIGINT or SIGTERM."""
    with quiet_interrupt():
        from selavpr_ros.process import preload, run_node

        preload()
    run_node(args)


def selavpr(argv: Sequence[str] | None = None) -> None:
    """`selavpr`: one command."""
    with quiet_interrupt():
        from selavpr_ros.cli import main as run_command
    run_command(argv)


if __name__ == '__main__':
    main()
