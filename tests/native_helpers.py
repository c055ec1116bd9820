# SPDX-License-Identifier: MIT
"""Programs that include a kernel of native/, built with any compiler and run, or emulated."""

from __future__ import annotations

from pathlib import Path
import shutil
import subprocess

from where import ROOT

ARM_COMPILER = 'aarch64-linux-gnu-g++'
EMULATOR = ['qemu-aarch64', '-cpu']
ARM = 'apt-get install g++-aarch64-linux-gnu qemu-user'


def has_arm() -> bool:
    return bool(shutil.which(ARM_COMPILER) and shutil.which(EMULATOR[0]))


def checked(
    kernel: str, tmp_path: Path, compiler: str, flags: list[str], emulator: list[str]
) -> str:
    """What tests/native_KERNEL_check.cpp prints."""
    program = str(tmp_path / f'native_{kernel}_check')
    source = str(ROOT / 'tests' / f'native_{kernel}_check.cpp')
    usual = ['-std=c++17', '-pthread', '-w', '-ffp-contract=off']
    made = subprocess.run(
        [compiler, *usual, *flags, source, '-o', program], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    ran = subprocess.run([*emulator, program], capture_output=True, text=True)
    assert ran.returncode == 0 and ran.stdout.endswith('\n0 wrong\n'), ran.stdout + ran.stderr
    return ran.stdout
