# SPDX-License-Identifier: MIT
"""Help texts are shown alone, by `ros2 param describe` and --help: each names its subject.

A help text is a phrase of at least four words without a full stop, in lower case but for names.
It does not lean on the line above it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
import dataclasses
import re

import click
import pytest
import typer.main

from selavpr_model import config
from selavpr_model.config import Config
from selavpr_ros.cli import app
from selavpr_ros.config import NodeConfig

from where import ROOT

LEANING = re.compile(r'(and|or|of|the same|more|not)\b', re.IGNORECASE)
CAPITALISED = re.compile(r'[A-Z][a-z]+\b')  # names such as QoS, YAML and DINOv2 are no words
LEAST_WORDS = 4
CLASSES = [
    NodeConfig,
    *(getattr(config, name) for name in config.__all__ if name != 'Config'),
]
LAUNCH = sorted((ROOT / 'launch').glob('*.launch.py'))


def troubles(text: str) -> list[str]:
    """What is wrong with a help text."""
    return [
        trouble
        for trouble, holds in (
            ('leans on the line above', LEANING.match(text)),
            ('begins with a capital letter', CAPITALISED.match(text)),
            ('ends with a full stop', text.endswith('.')),
            (f'has fewer than {LEAST_WORDS} words', len(text.split()) < LEAST_WORDS),
        )
        if holds
    ]


def test_the_rule_finds_what_it_is_for():
    for text in ('and this long ago', 'The same for each of them', 'more, over the distance'):
        assert troubles(text)
    assert troubles('frame of poses') and troubles('distance of a frame in m.')
    assert not troubles('CPU threads for inference; 0: all cores')


@pytest.mark.parametrize('cls', CLASSES, ids=lambda cls: cls.__name__)
def test_each_option_says_by_itself_what_it_is(cls: type[Config]):
    texts = {f.name: f.metadata['help'] for f in dataclasses.fields(cls)}
    assert not {name: t for name, text in texts.items() if (t := [*troubles(text), text])[:-1]}


def descriptions(path) -> Iterator[str]:
    """Descriptions of the arguments that a launch file declares."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.keyword) and node.arg == 'description':
            text = node.value.left if isinstance(node.value, ast.BinOp) else node.value
            yield ast.literal_eval(text)


@pytest.mark.parametrize('path', LAUNCH, ids=lambda path: path.name)
def test_each_argument_of_a_launch_file_says_by_itself_what_it_is(path):
    texts = list(descriptions(path))
    assert len(texts) > 3
    assert not {text: t for text in texts if (t := troubles(text))}


def commands(group: click.Group, path: str = '') -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f'{path} {name}')
        else:
            yield f'{path} {name}'.strip(), command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize('name', COMMANDS)
def test_each_option_of_the_command_line_says_by_itself_what_it_is(name: str):
    texts = {p.name: p.help for p in COMMANDS[name].params if getattr(p, 'help', None)}
    texts.pop('help', None)
    leaning = {n: text for n, text in texts.items() if LEANING.match(text)}
    assert not leaning and not {n: t for n, t in texts.items() if len(t.split()) < 2}
