# SPDX-License-Identifier: MIT
"""What is said where an optional package is not installed."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import pytest

from selavpr_model.errors import MissingPackageError
from selavpr_model.runtime.needs import needs

from where import ROOT

# What no extra but its own brings; `selavpr` runs with these hidden, in a process of its own.
HIDDEN = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in 'matplotlib onnx onnxruntime rosbags tensorboardX'.split():
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Hidden())
"""


def run_hidden(code: str) -> subprocess.CompletedProcess[str]:
    """Python code where no package of an extra is installed."""
    words = [sys.executable, '-c', HIDDEN + code]
    return subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_a_package_that_is_there_is_imported() -> None:
    with needs('rosbags', extra='bags'):
        import rosbags.highlevel as there

        assert there.AnyReader


def test_the_line_that_installs_it_is_said() -> None:
    with (
        pytest.raises(MissingPackageError, match=r"no_such is not .* 'selavpr\[bags\]'$"),
        needs('no_such', extra='bags'),
    ):
        pass


def test_what_is_missing_inside_a_package_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'half_there.py').write_text('import no_such\n')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match='no_such'), needs('half_there', extra='bags'):
        pass


COMMAND = 'from selavpr_ros.cli import main; main({})'
PARTS = {
    'map of a bag': (COMMAND.format(['map', 'build', 'demo/summer', '--out', '/x']), 'bags'),
    'slam': (COMMAND.format(['slam', 'demo/winter', '--truth', '', '--out', '/x']), 'report'),
    'writing a bag': ('import selavpr_ros.bags.writer', 'bags'),
    'plots': ('import selavpr_model.evaluation.trust_plots', 'report'),
    'a backbone': ('from selavpr_model.features.imgfocus import convert; convert(b"")', 'weights'),
    'a run': (
        'from pathlib import Path; from selavpr_model.training.plot import draw_training;'
        ' draw_training(Path("/x"))',
        'train',
    ),
}


@pytest.mark.parametrize(('code', 'extra'), PARTS.values(), ids=PARTS)
def test_each_part_names_its_extra(code: str, extra: str) -> None:
    made = run_hidden(code)
    last = made.stderr.splitlines()[-1]
    assert made.returncode == 1 and f"pip install 'selavpr[{extra}]'" in last, made.stderr


def test_a_map_of_a_folder_and_the_recognizer_need_no_extra(tmp_path: Path) -> None:
    """What a robot has: no package of an extra."""
    made = run_hidden(
        'from pathlib import Path\n'
        'import cv2, numpy as np\n'
        'from selavpr_ros.cli import main\n'
        f'folder = Path({str(tmp_path)!r})\n'
        '(folder / "images").mkdir()\n'
        'for i in range(3):\n'
        '    image = np.random.default_rng(i).integers(0, 255, (64, 64, 3), np.uint8)\n'
        '    cv2.imwrite(str(folder / "images" / f"{i}.png"), image)\n'
        'main(["map", "build", str(folder / "images"), "--out", str(folder / "map"), '
        '"--random-weights"])\n'
        'import selavpr_model.recognizer\n'
    )
    assert made.returncode == 0, made.stderr
    assert (tmp_path / 'map').is_dir()


def test_the_node_needs_no_extra() -> None:
    pytest.importorskip('rclpy')
    made = run_hidden('import selavpr_ros.process; selavpr_ros.process.preload()')
    assert made.returncode == 0, made.stderr
