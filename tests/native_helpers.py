# SPDX-License-Identifier: MIT
"""Programs that include a kernel of native/, built with any compiler and run, or emulated."""

from __future__ import annotations

from collections.abc import Sequence
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


def counted(tmp_path: Path, kinds: Sequence[str]) -> dict[str, int]:
    """Instructions that tests/native_neon_count.cpp executes with each of these words."""
    program, plugin = str(tmp_path / 'native_neon_count'), str(tmp_path / 'plugin.so')
    flags = ['-std=c++17', '-O3', '-static', '-pthread', '-w', '-ffp-contract=off']
    source = str(ROOT / 'tests' / 'native_neon_count.cpp')
    subprocess.run([ARM_COMPILER, *flags, source, '-o', program], check=True)
    source = str(ROOT / 'tests' / 'native_count_plugin.c')
    subprocess.run(['gcc', '-shared', '-fPIC', '-w', source, '-o', plugin], check=True)
    counts = {}
    for kind in kinds:
        words = [*EMULATOR, 'max', '-plugin', plugin, program, kind]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        counts[kind] = int(done.stderr.split()[-2])
    return counts
