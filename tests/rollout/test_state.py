"""What follows from what is seen, whatever is seen."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcast.rollout.state import (
    ENDS,
    OTHER,
    PROMOTE,
    ROLLBACK,
    SERVING,
    Phase,
    Policy,
    Rollout,
    Seen,
    abort,
    advance,
    champions,
    settle,
    wanted,
)

START = datetime(2026, 1, 5, tzinfo=UTC)
POLICY = Policy()
PROVEN = (Phase.CANARY, *SERVING)  # phases in which clients may meet the new version


def asked(**changed) -> Rollout:
    plain = Rollout("p", 1, "2", "1", "green", START, START, "anna", "better", PROMOTE)
    return replace(plain, **changed)


rollouts = st.builds(
    asked,
    phase=st.sampled_from(Phase),
    share=st.sampled_from((0, *POLICY.shares)),
    slot=st.sampled_from(("blue", "green")),
    action=st.sampled_from((PROMOTE, ROLLBACK)),
    step=st.integers(1, 20),
)
glimpses = st.builds(
    Seen,
    now=st.just(START),
    approved=st.booleans(),
    fault=st.sampled_from(("", "", "", "", "5 of 5 requests failed")),
    ready=st.sampled_from(("", "1", "2", "2", "2")),
    active=st.sampled_from(("blue", "green")),
    checked=st.sampled_from((True, True, False)),
)
later = st.lists(st.tuples(glimpses, st.integers(0, 40)), max_size=40)


def told(rollout, looks):
    """Every state that follows, with what was seen in the state before it."""
    now = rollout.since
    for seen, seconds in looks:
        now += timedelta(seconds=seconds)
        seen = replace(seen, now=now)
        before, rollout = rollout, advance(rollout, seen, POLICY)
        yield before, seen, rollout


@given(rollouts, later)
def test_there_is_one_champion_and_it_is_the_old_one_until_the_very_end(rollout, looks):
    for _, _, after in told(rollout, looks):
        champion = wanted(after).champion
        assert champion == ("2" if after.phase == Phase.DONE else "1")
        assert wanted(after).challenger != champion


@given(rollouts, later)
def test_a_slot_that_failed_a_check_gets_no_traffic_and_not_the_version(rollout, looks):
    failed = False
    for before, seen, after in told(rollout, looks):
        failed |= bool(seen.fault) and before.phase not in ENDS
        if failed:
            target = wanted(after)
            assert (target.active, target.share) == (OTHER[rollout.slot], 0)
            assert "2" not in target.colours.values()
            assert not target.mirror


@given(rollouts, later)
def test_an_aborted_rollout_ends_on_the_old_version_and_stays_ended(rollout, looks):
    aborted = False
    for _, _, after in told(rollout, looks):
        aborted |= after.phase == Phase.ABORTED
        if aborted:
            assert after.phase == Phase.ABORTED
            target = wanted(after)
            assert target.champion == "1"
            assert target.colours == {"blue": "1", "green": "1"}


@given(later, st.sampled_from((PROMOTE, ROLLBACK)))
def test_no_client_meets_a_version_before_it_was_loaded_and_gave_its_golden_answers(looks, action):
    proven = set()
    for before, seen, after in told(asked(action=action), looks):
        if before.phase == Phase.LOAD and seen.ready == "2":
            proven.add("loaded")
        if before.phase == Phase.GOLDEN and seen.checked and not seen.fault:
            proven.add("golden")
        if after.phase in PROVEN:
            assert proven == {"loaded", "golden"}


@given(later)
def test_the_steps_of_a_promotion_are_taken_in_order_and_none_is_left_out(looks):
    order = [("load", 0), ("golden", 0), ("mirror", 0), ("canary", 5), ("canary", 25),
             ("canary", 50), ("flip", 0), ("bake", 0), ("done", 0)]  # fmt: skip
    taken = [
        (str(after.phase), after.share)
        for before, _, after in told(asked(), looks)
        if after is not before and after.phase != Phase.ABORTED
    ]
    assert taken == order[: len(taken)]


@given(rollouts, st.lists(glimpses, min_size=1, max_size=3))
def test_a_phase_that_gets_nowhere_is_given_up(rollout, looks):
    for seen in looks:
        late = rollout.since + timedelta(hours=1)
        stuck = replace(seen, now=late, ready="", checked=False, approved=True)
        stuck = replace(stuck, active=OTHER[rollout.slot])
        after = advance(rollout, stuck, POLICY)
        if rollout.phase not in (*ENDS, Phase.IDLE):
            assert after.phase == Phase.ABORTED
            assert after.reason


@given(rollouts, glimpses)
def test_a_transition_is_one_step_and_the_same_from_the_same(rollout, seen):
    after = advance(rollout, seen, POLICY)
    assert after == advance(rollout, seen, POLICY)
    assert after.step - rollout.step in (0, 1)
    assert (after.step == rollout.step) == (after is rollout)


def test_a_rollback_goes_from_its_golden_answers_straight_to_all_traffic():
    rollout, now, taken = asked(action=ROLLBACK), START, []
    for _ in range(100):
        now += timedelta(seconds=1)
        seen = Seen(now, ready="2", active="green", checked=True)
        rollout = advance(rollout, seen, POLICY)
        taken.append(str(rollout.phase))
    assert list(dict.fromkeys(taken)) == ["load", "golden", "flip", "bake", "done"]


def test_without_approval_nothing_begins():
    waits = advance(asked(), Seen(START + timedelta(days=9), approved=False), POLICY)
    assert waits.phase == Phase.IDLE
    assert wanted(waits).colours == {}


def test_a_first_version_is_loaded_by_both_colours():
    first = asked(before=None, version="1", phase=Phase.DONE)
    assert wanted(first).colours == {"blue": "1", "green": "1"}
    assert wanted(first).champion == "1"


def done(number, version, action=PROMOTE, phase=Phase.DONE):
    return settle(asked(number=number, version=version, action=action, phase=phase), START)


@pytest.mark.parametrize(
    ("ended", "standing"),
    [
        ([], ()),
        ([done(1, "1")], ("1",)),
        ([done(1, "1"), done(2, "2")], ("1", "2")),
        ([done(1, "1"), done(2, "2", phase=Phase.ABORTED)], ("1",)),
        ([done(1, "1"), done(2, "2"), done(3, "1", ROLLBACK)], ("1",)),
        ([done(1, "1"), done(2, "2"), done(3, "1")], ("2", "1")),
        ([done(1, "1"), done(2, "2"), done(3, "1", ROLLBACK), done(4, "3")], ("1", "3")),
    ],
)
def test_a_rollback_returns_to_what_served_before_and_forgets_what_came_after(ended, standing):
    assert champions(ended) == standing


def test_what_has_ended_cannot_be_aborted():
    ended = asked(phase=Phase.DONE)
    assert abort(ended, START, "too late") is ended
