# SPDX-License-Identifier: MIT
from dataclasses import replace
import re

import numpy as np
import pytest

from selavpr_model.config import ScoreConfig
from selavpr_model.decision.thresholds import Thresholds
from selavpr_model.evaluation.predictions import from_recognition, Prediction
from selavpr_model.evaluation.report.examples import choose, draw_examples, GAP, WIDTH
from selavpr_model.evaluation.report.report import headline, render, Report
from selavpr_model.evaluation.scoring import Judge, latency_ms, summarise
from selavpr_model.poses import pose_matrix, position_quaternion
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Place, State

LEVEL = (0.0, 0.0, 0.0, 1.0)
PLACES = [Place(i, i, f'<{i}>', pose=pose_matrix((10 * i, 0, 0), LEVEL)) for i in range(5)]


def answer(i, place, state=State.LOCALIZED):
    pose = position_quaternion(PLACES[place].pose) if state == State.LOCALIZED else None
    return Prediction(
        i * 10**9, state, 'why <b>', place_ids=(place, (place + 1) % 5), names=('<a>', 'b'),
        similarities=(0.9, 0.8), global_ranks=(1, 0), matches=(50 + i, 20), ranks=(0, 1),
        pose=pose,
    )  # fmt: skip


def report(answers, truth):
    judge = Judge(PLACES, np.eye(4), ScoreConfig())
    scores = [judge.score(p, truth.get(p.stamp_ns)) for p in answers]
    summary = {**summarise(scores, {'replaced': 1}), 'note': 'note & more', 'weights': 'w'}
    summary['latency_ms'] = latency_ms([{'forward': 10**7}] * len(answers))
    return Report('a <title>', summary, scores, truth, PLACES, Thresholds(0.5, 30, 1.1))


@pytest.fixture(scope='module')
def mixed():
    answers = [answer(0, 0), answer(1, 3), answer(2, 2, State.AMBIGUOUS), answer(3, 3, State.LOST)]
    answers.append(answer(4, 4, State.LOST))
    truth = {i * 10**9: pose_matrix((10 * i, 0, 0), LEVEL) for i in range(4)}
    return report(answers, {**truth, 4 * 10**9: pose_matrix((90, 0, 0), LEVEL)})


@pytest.fixture(scope='module')
def page(mixed):
    return render(mixed)


def test_the_page_loads_nothing_from_elsewhere(page):
    sources = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page)
    assert len(sources) >= 5 and all(s.startswith('data:image/') for s in sources)
    assert not re.search(r'<(script|link|iframe)|@import|url\(', page)


def test_text_from_outside_cannot_become_markup(page):
    assert 'a &lt;title&gt;' in page and 'a <title>' not in page
    assert 'note &amp; more' in page


def test_headline_says_what_the_summary_says(mixed, page):
    cards = {name: (value, mood) for name, value, _, mood in headline(mixed.summary)}
    assert cards['False accepts'] == ('1', 'bad')
    assert cards['Localized'] == ('50.0 %', '')
    assert cards['Recall@1'] == ('75.0 %', '')
    assert cards['Latency'] == ('10 ms', '')
    assert all(f'<b>{value}</b>' in page for value, _ in cards.values())


def test_every_kind_of_answer_gets_an_example(mixed):
    verdicts = [choice.score.verdict for choice in choose(mixed.scores)]
    assert verdicts == ['right', 'wrong', 'ambiguous', 'lost', 'outside']


@pytest.mark.parametrize('count', [0, 1])
def test_a_replay_without_truth_still_gives_a_report(count):
    page = render(report([answer(i, 0) for i in range(count)], {}))
    assert '–' in page and '</html>' in page


def test_a_frame_without_candidates_is_drawn_everywhere():
    bare = Prediction(5, State.LOST, 'the map is empty')
    page = render(replace(report([bare], {5: np.eye(4)}), needed=None))
    assert 'No frame had a candidate' in page


def test_an_example_joins_the_frame_with_its_place(extractor, street, street_map):
    from selavpr_model.maps.storage.store import open_map

    place_map = open_map(street_map)
    answered = PlaceRecognizer(extractor, place_map).process(street[2])
    judge = Judge(place_map.places, np.eye(4), ScoreConfig())
    score = judge.score(from_recognition(answered, np.eye(4)), street[2].pose)
    (example,) = draw_examples(choose([score]), street, extractor, place_map)
    height = round(street[2].image.shape[0] * WIDTH / street[2].image.shape[1])
    assert example.picture.shape == (height, 2 * WIDTH + GAP, 3)
    left, right = example.picture[:, :WIDTH], example.picture[:, WIDTH + GAP :]
    grey = np.abs(left.mean(axis=2) - right.mean(axis=2))  # it is the same image, up to JPEG
    assert np.median(grey) < 12
