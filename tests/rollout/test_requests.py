"""What a person does in MLflow is a request: carried out, refused with a reason, never a loop."""

import time

import pytest
from tests.rollout.rollout_house import PRODUCT, until

from riskcast.core.errors import RolloutRefused, RolloutUnderWay
from riskcast.registry import ModelVersion
from riskcast.rollout import Phase
from riskcast.rollout.requests import find_request, refusal, stages


def version(number, *aliases, stage="None", **tags):
    return ModelVersion(number, "run", "", 0.0, aliases, tags, {}, stage)


@pytest.mark.parametrize(
    ("found", "asked"),
    [
        ([version("2"), version("1", "champion", stage="Production")], None),
        ([version("2", "champion"), version("1", stage="Production")], ("promote", "2")),
        ([version("2", stage="Production"), version("1", "champion")], ("promote", "2")),
        ([version("2"), version("1", "champion", stage="Archived")], ("rollback", "1")),
        ([version("2", stage="Archived"), version("1", "champion")], None),
        ([version("2", "blue"), version("1", "champion")], None),
        ([version("2"), version("1")], None),
    ],
)
def test_only_a_champion_or_a_stage_that_no_rollout_set_is_a_request(found, asked):
    request = find_request(found, "1")
    assert (request and (request.action, request.version)) == asked


@pytest.mark.parametrize(
    ("tags", "pinned", "automatic", "said"),
    [
        ({"verdict": "promote"}, None, False, ""),
        ({"verdict": "refuse", "reason": "no skill"}, None, False, "no skill"),
        ({"verdict": "refuse", "override": "board"}, None, False, ""),
        ({"verdict": "refuse", "override": ""}, None, False, "failed the gate"),
        ({}, None, False, "never met the gate"),
        ({"verdict": "promote"}, "1", True, "pinned"),
        ({"verdict": "promote"}, "1", False, ""),
        ({"verdict": "promote", "override": "x"}, "1", True, "pinned"),
    ],
)
def test_the_gate_yields_to_an_override_and_a_pin_to_a_person(tags, pinned, automatic, said):
    judged, override = {k: tags[k] for k in tags if k != "override"}, tags.get("override", "")
    reason = refusal("2", judged, override, pinned, automatic=automatic)
    assert said in reason
    assert bool(reason) == bool(said)


def test_stages_have_one_production_whatever_was_clicked():
    found = [version("3", stage="Production"), version("2", stage="Production"), version("1")]
    assert stages(found, "2", "1") == {"3": "Archived", "2": "Production", "1": "Staging"}


def test_moving_the_champion_alias_is_carried_out_and_mirrored_to_aliases_and_stages(bare):
    bare.first()
    second = bare.register(0.1)
    bare.look()
    bare.client().set_registered_model_alias(PRODUCT, "champion", second)
    bare.look()
    aliases, stages = bare.roles()
    assert (aliases["champion"], aliases["previous"]) == ("2", "1")
    assert stages == {"Production": ["2"], "Staging": [], "Archived": ["1"]}


def test_a_stage_promotes_and_archiving_the_champion_rolls_back(bare):
    bare.first()
    second = bare.register(0.1)
    bare.client().transition_model_version_stage(PRODUCT, second, "Production")
    bare.look()
    assert bare.roles()[0]["champion"] == "2"
    bare.client().transition_model_version_stage(PRODUCT, second, "Archived")
    bare.look()
    aliases, stages = bare.roles()
    assert aliases["champion"] == "1"
    assert stages == {"Production": ["1"], "Staging": [], "Archived": ["2"]}
    last = bare.machine.journal.ledger().row(-1, named=True)
    assert (last["action"], last["who"], last["model_version"]) == ("rollback", "mlflow", "1")


def test_the_watch_answers_none_of_its_own_writes(bare):
    bare.first()
    bare.client().set_registered_model_alias(PRODUCT, "champion", bare.register(0.1))
    bare.look()
    before = len(bare.machine.journal.rollouts()), bare.machine.journal.ledger().height
    roles = bare.roles()
    for _ in range(3):
        bare.look()
    assert (len(bare.machine.journal.rollouts()), bare.machine.journal.ledger().height) == before
    assert bare.roles() == roles


def test_a_click_that_comes_while_another_is_answered_is_not_lost(bare, monkeypatch):
    bare.first()
    refused, good = bare.register(0.1, verdict="refuse"), bare.register(0.2)
    refuse = bare.machine.refuse

    def refuse_and_be_clicked(*given, **named):
        refuse(*given, **named)
        bare.client().set_registered_model_alias(PRODUCT, "champion", good)

    monkeypatch.setattr(bare.machine, "refuse", refuse_and_be_clicked)
    bare.client().set_registered_model_alias(PRODUCT, "champion", refused)
    bare.look()
    bare.look()
    assert bare.roles()[0]["champion"] == good


@pytest.mark.parametrize("reads", [1, 2])
def test_a_click_during_a_look_that_found_nothing_is_carried_out_by_the_next(
    bare, monkeypatch, reads
):
    bare.first()
    second, read, left = bare.register(0.1), bare.registry.versions, [reads]
    bare.look()

    def read_and_be_clicked(*given, **named):
        found = read(*given, **named)
        left[0] -= 1
        if left[0] == 0:
            bare.client().set_registered_model_alias(PRODUCT, "champion", second)
        return found

    for registry in (bare.registry, bare.machine._world._registry):
        monkeypatch.setattr(registry, "versions", read_and_be_clicked)
    bare.look()
    assert left[0] <= 0
    bare.look()
    assert bare.roles()[0]["champion"] == second


def test_a_version_that_failed_the_gate_is_refused_with_a_tag_until_it_is_overridden(bare):
    bare.first()
    second = bare.register(0.1, verdict="refuse")
    bare.client().set_registered_model_alias(PRODUCT, "champion", second)
    bare.look()
    assert bare.roles()[0]["champion"] == "1"
    assert "failed the gate: planted" in bare.tags(second)["rollout_refused"]
    assert bare.machine.journal.ledger()["action"].to_list() == ["promote", "refuse"]
    bare.client().set_model_version_tag(PRODUCT, second, "verdict", "promote")
    bare.client().set_model_version_tag(PRODUCT, second, "override", " ")
    bare.client().set_registered_model_alias(PRODUCT, "champion", second)
    bare.look()
    assert bare.roles()[0]["champion"] == "1"  # its verdict is sealed, and a blank is no reason
    bare.client().set_model_version_tag(PRODUCT, second, "override", "the board wants it")
    bare.client().set_registered_model_alias(PRODUCT, "champion", second)
    bare.look()
    assert bare.roles()[0]["champion"] == second
    assert "rollout_refused" not in bare.tags(second)
    assert "override: the board wants it" in bare.machine.journal.ledger()["why"][-1]


def test_an_archived_first_champion_stays_because_there_is_nothing_to_return_to(bare):
    first = bare.first()
    bare.client().transition_model_version_stage(PRODUCT, first, "Archived")
    bare.look()
    aliases, stages = bare.roles()
    assert (aliases["champion"], stages["Production"]) == (first, [first])
    assert "no earlier champion" in bare.tags(first)["rollout_refused"]


def test_colours_and_roles_set_by_hand_are_put_right(bare):
    first = bare.first()
    second = bare.register(0.1)
    bare.look()
    for alias in ("challenger", "previous"):
        bare.client().set_registered_model_alias(PRODUCT, alias, second)
    bare.client().delete_registered_model_alias(PRODUCT, "champion")
    bare.look()
    assert bare.roles()[0] == {"blue": first, "green": first, "champion": first}


def test_the_alias_shadow_is_a_persons_to_give_and_asks_for_nothing(bare):
    first = bare.first()
    second = bare.register(0.1)
    bare.client().set_registered_model_alias(PRODUCT, "shadow", second)
    bare.look()
    assert bare.roles()[0]["shadow"] == second
    assert (bare.roles()[0]["champion"], len(bare.machine.journal.rollouts())) == (first, 1)


def test_an_altered_version_is_refused_and_told(bare):
    bare.first()
    second = bare.register(0.1)
    for path in bare.settings.home_path.glob(
        "mlflow-artifacts/*/*/artifacts/model/data/model.json"
    ):
        if bare.client().get_model_version(PRODUCT, second).run_id in str(path):
            path.write_bytes(path.read_bytes() + b" ")
    bare.client().set_registered_model_alias(PRODUCT, "champion", second)
    bare.look()
    assert bare.roles()[0]["champion"] == "1"
    assert "altered" in bare.tags(second)["rollout_refused"]


def test_a_pin_holds_off_training_but_not_people(bare):
    from riskcast.jobs.deploy import deploy_newest

    first = bare.first()
    bare.machine.pin(first, who="anna", why="audit")
    second = bare.register(0.1, as_of="2019-01-01")
    deploy_newest(bare.machine, bare.registry)
    assert bare.roles()[0]["champion"] == first
    assert "pinned" in bare.tags(second)["rollout_refused"]
    bare.machine.unpin(who="anna", why="audit is over")
    deploy_newest(bare.machine, bare.registry)
    assert bare.roles()[0]["champion"] == second
    assert {"pin", "unpin"} < set(bare.machine.journal.ledger()["action"])


def test_training_does_not_bring_back_what_was_rolled_back(bare):
    from riskcast.jobs.deploy import deploy_newest

    first = bare.first()
    bare.deploy(bare.register(0.1, as_of="2019-01-01"))
    bare.machine.carry_out(bare.machine.rollback(who="anna", why="worse"), lambda _: None)
    deploy_newest(bare.machine, bare.registry)
    assert bare.roles()[0]["champion"] == first


def test_the_ledger_says_what_served_at_an_instant(bare):
    from riskcast.core.clock import wall

    before = wall()
    first = bare.first()
    between = wall()
    second = bare.register(0.1)
    bare.deploy(second)
    journal = bare.machine.journal
    assert journal.served(before) is None
    assert journal.served(between)["model_version"] == first
    assert journal.served(wall())["model_version"] == second
    assert journal.served(wall())["why"] == "planted"


def test_two_processes_that_begin_at_once_do_not_both_win(bare):
    bare.first()
    for shift in (0.1, 0.2):
        bare.register(shift)
    one, other = (m.journal for m in (bare.machine, bare.another_machine()))
    begun = bare.machine._begin("2", "1", "one", "race", "promote")
    late = bare.another_machine()._begin("3", "1", "other", "race", "promote")
    assert begun.number == late.number
    one.write(begun)
    with pytest.raises(RolloutUnderWay, match="version 2"):
        other.write(late)
    assert one.under_way().version == "2"


def test_what_serves_already_is_not_rolled_out_again(bare):
    first = bare.first()
    with pytest.raises(RolloutRefused, match="champion already"):
        bare.machine.ask(first, who="anna", why="again")


@pytest.mark.stack
def test_a_rollout_waits_for_approval_and_gives_way_to_another(house):
    waiting = house.another_machine(approval="tag")
    second, third = house.register(0.1), house.register(0.2)
    waiting.ask(second, who="anna", why="better")
    assert waiting.follow().phase == Phase.IDLE
    assert house.roles()[0]["challenger"] == second
    waiting.ask(third, who="anna", why="better still")
    assert waiting.follow().phase == Phase.IDLE
    time.sleep(1)
    assert house.served() == f"{PRODUCT}/1"
    house.client().set_model_version_tag(PRODUCT, third, "approved", "bert")
    assert waiting.follow().phase == Phase.DONE
    until(lambda: house.served() == f"{PRODUCT}/{third}")
    approved = waiting.journal.ledger().filter(action="approve")
    assert approved["who"].to_list() == ["bert"]
    ended = {r.version: r.phase for r in waiting.journal.rollouts()}
    assert ended[second] == Phase.ABORTED
