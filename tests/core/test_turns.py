"""Work beside requests rests between its pieces; other work does not."""

import threading
import time

import pytest

from riskcast.core import turns
from riskcast.core.turns import PIECE, REST, take_turn, taking_turns


@pytest.fixture
def rests(monkeypatch):
    slept = []
    monkeypatch.setattr(turns, "sleep", slept.append)
    return slept


def work(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_work_rests_for_a_multiple_of_what_it_took(rests):
    with taking_turns():
        for _ in range(3):
            work(0.003)
            take_turn()
    assert len(rests) == 3
    assert min(rests) >= REST * 0.003


def test_what_takes_next_to_nothing_is_added_up_before_a_rest(rests):
    with taking_turns():
        for _ in range(20):
            work(PIECE / 4)
            take_turn()
    assert 0 < len(rests) < 20
    assert min(rests) >= REST * PIECE


def test_nothing_rests_that_was_not_asked_to_or_is_in_another_thread(rests):
    work(0.002)
    take_turn()
    with taking_turns():
        other = threading.Thread(target=lambda: (work(0.002), take_turn()))
        other.start()
        other.join()
    work(0.002)
    take_turn()
    assert rests == []
