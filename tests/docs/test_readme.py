# SPDX-License-Identifier: MIT
"""The README fits on a few screens, shows every step of a user, and promises what is there."""

from __future__ import annotations

from pathlib import Path
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

from docs_text import README, Text
import pytest

from where import ROOT

LONGEST = 150  # lines
WIDEST = 120  # characters
QUICKSTART = ROOT / 'examples' / 'quickstart.py'
ORDER = ('Install', 'Two commands', 'On a robot', 'In Python', 'Which weights', 'Results',
         'What it is not', 'Documentation', 'Citation')  # fmt: skip


def section(title: str) -> str:
    """The text below a heading, up to the next one."""
    _, _, rest = README.whole.partition(f'\n## {title}\n')
    return rest.partition('\n## ')[0]


class TestForm:
    def test_it_has_at_most_150_lines_of_at_most_120_characters(self) -> None:
        lines = README.whole.splitlines()
        assert len(lines) <= LONGEST
        assert [line for line in lines if len(line) > WIDEST] == []

    def test_it_comes_in_the_order_of_a_first_visit(self) -> None:
        headings = re.findall(r'^## (.+)$', README.whole, re.MULTILINE)
        assert tuple(headings) == ORDER
        opening = README.whole.partition('\n## ')[0]
        assert '![' in opening and 'docs/demo.png' in opening

    def test_each_badge_is_a_picture_of_ours_or_a_workflow_of_ours(self) -> None:
        opening = README.whole.partition('\n## ')[0]
        badges = re.findall(r'\[!\[[^]]*\]\(([^)]+)\)\]', opening)
        assert len(badges) == 3
        for badge in badges:
            workflow = re.fullmatch(r'\.\./\.\./actions/workflows/([\w.-]+)/badge\.svg', badge)
            path = Path('.github/workflows', workflow[1]) if workflow else Path(badge)
            assert (ROOT / path).is_file(), badge


class TestSteps:
    def test_each_step_of_a_user_is_shown(self) -> None:
        shown = {' '.join(words[:2]) for words in README.commands()}
        wanted = {'pip install', 'make demo', 'make test', 'ros2 launch', 'selavpr weights'}
        assert wanted <= shown

    def test_the_official_weights_come_first(self) -> None:
        text = section('Which weights')
        assert 0 < text.index('selavpr_vitl14_msls') < text.index('selavpr_vits14')
        assert 'weights:=selavpr_vitl14_msls' in text and 'not measured' in text

    def test_the_code_is_the_quickstart(self) -> None:
        [code] = README.blocks('python')
        licence, _, rest = QUICKSTART.read_text(encoding='utf-8').partition('\n')
        assert licence == '# SPDX-License-Identifier: MIT' and code == rest
        assert len(QUICKSTART.read_text(encoding='utf-8').splitlines()) <= 20

    @pytest.mark.slow
    def test_the_quickstart_runs(self, town_images: Path, tmp_path: Path) -> None:
        folders = [str(town_images / run) for run in ('summer', 'winter')]
        words = [sys.executable, str(QUICKSTART), *folders]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=150)
        assert done.returncode == 0, done.stderr
        found = re.findall(
            r'^\d+\.png: \d+ matches with place \d+, (.+) m off$', done.stdout, re.M
        )
        assert len(found) >= 2 and all(float(off) < 5.0 for off in found), done.stdout


class TestNumbers:
    def test_results_and_cost_stand_in_the_docs_too(self) -> None:
        results, benchmark = Text('docs/results.md').whole, Text('docs/benchmark.md').whole
        numbers = re.findall(r'\d+\.\d \(\d+-\d+\)', section('Results'))
        assert len(numbers) == 15
        assert [number for number in numbers if number not in results] == []
        times = re.findall(r'[\d,]+ ms', section('Which weights').partition('NVIDIA')[0])
        assert len(times) == 8
        assert [time for time in times if time not in benchmark] == []

    def test_every_table_of_numbers_has_its_command(self) -> None:
        for title in ('Which weights', 'Results'):
            assert re.search(r'`selavpr (benchmark|ablate) [^`]+`', section(title)), title

    def test_the_table_of_the_demo_is_printed_by_the_demo(self) -> None:
        sources = (ROOT / 'selavpr_model' / 'evaluation' / 'report').glob('*.py')
        printed = ''.join(path.read_text(encoding='utf-8') for path in sources)
        rows = re.findall(r'^│ ([\w ]+?)\s+│', section('Two commands'), re.MULTILINE)
        assert len(rows) >= 3
        assert [row for row in rows if f"'{row}'" not in printed] == []


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    version = ElementTree.parse(ROOT / 'package.xml').findtext('version')
    headings = re.findall(r'^## (\S+)', (ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE)
    assert headings and headings[0] == version


@pytest.fixture(scope='module')
def town_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's drives as folders of images, each thinned to a few."""
    import demo_images

    from selavpr_ros.bags.reader import BagFrames

    out = tmp_path_factory.mktemp('town')
    # every second place of the map, and frames of the winter drive that are inside it
    for run, chosen in (('summer', slice(None, None, 2)), ('winter', slice(12, 156, 6))):
        frames = list(BagFrames(ROOT / 'demo' / run, pose_topic='/ground_truth/pose'))
        demo_images.write(frames[chosen], out / run)
    return out
