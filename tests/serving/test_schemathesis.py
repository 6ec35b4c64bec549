"""Generated requests to every operation: no 5xx, no answer that its description does not cover."""

from collections import Counter

import pytest
from fastapi.responses import JSONResponse
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import BaseModel
from serving_world import MemoryRows, new_home, register, rows, serve
from small_model import small_model

from riskcast.registry import Registry
from riskcast.serving.app import create_app
from riskcast.serving.auth import ensure_admin_key

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.checks import CHECKS, load_all_checks  # noqa: E402
from schemathesis.core.failures import FailureGroup  # noqa: E402

FEW, MANY = 10, 100  # of each kind: what the description allows, and what it does not
VALID, BROKEN = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
OPERATIONS = {
    ("GET", "/"): (VALID,),
    ("GET", "/health"): (VALID,),
    ("GET", "/ready"): (VALID,),
    ("POST", "/predict"): (VALID, BROKEN),
    ("POST", "/predict/batch"): (VALID, BROKEN),
    ("GET", "/predictions/history"): (VALID, BROKEN),
    ("GET", "/news/recent"): (VALID, BROKEN),
    ("GET", "/monitoring/drift/check"): (VALID,),
    ("POST", "/monitoring/drift/alert"): (VALID, BROKEN),
    ("GET", "/metrics"): (VALID,),
    ("GET", "/debug/model-info"): (VALID,),
    ("POST", "/admin/mirror"): (VALID,),
    ("GET", "/admin/mirror"): (VALID, BROKEN),
}
# A question of the right shape may still name no session or feature there is: 422 by name.
NOT_MEANT = ("positive_data_acceptance",)


@pytest.fixture(scope="module")
def api(client):
    load_all_checks()
    schema = schemathesis.openapi.from_url(str(client.base_url.join("/openapi.json")))
    return schema, {"X-API-Key": ensure_admin_key(client.settings).read_text()}


def probe(api, method, path, mode, cases):
    """Send at least so many generated requests, checking each answer; return how many."""
    schema, headers = api
    without = tuple(check for check in CHECKS.get_all() if check.__name__ in NOT_MEANT)
    seen = []

    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    def answered_as_described(case):
        seen.append(case.call_and_validate(headers=headers, excluded_checks=without).status_code)

    while len(seen) < cases:  # there is only one request to an operation without parameters
        answered_as_described()
    assert max(seen) < 500
    return len(seen)


def test_every_described_operation_is_probed(api):
    described = api[0].raw_schema["paths"]
    found = {(method.upper(), path) for path, methods in described.items() for method in methods}
    assert found == set(OPERATIONS)


BOTH = [(*operation, mode) for operation, modes in OPERATIONS.items() for mode in modes]


@pytest.mark.parametrize(("method", "path", "mode"), BOTH)
def test_answers_are_as_described(api, method, path, mode):
    probe(api, method, path, mode, FEW)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path", "mode"), BOTH)
def test_answers_to_many_requests_are_as_described(api, method, path, mode, record_property):
    alone = len(OPERATIONS[method, path]) == 1
    sent = probe(api, method, path, mode, MANY * (2 if alone else 1))
    record_property("requests", sent)


LINKED = {
    ("predict", "published"): "GET /predictions/history",
    ("predict", "replay"): "POST /predict",
    ("predict_batch", "replay"): "POST /predict",
    ("predictions_history", "replay"): "POST /predict",
    ("drift_alert", "checks"): "GET /monitoring/drift/check",
    ("mirror", "outcomes"): "GET /admin/mirror",
}


NO_LINK = "none"  # a first request


def walk(api, runs, steps):
    """Follow links from answer to answer; return how often each was followed."""
    schema, headers = api
    without = [check for check in CHECKS.get_all() if check.__name__ in NOT_MEANT]
    asked = Counter()

    class Walk(schema.as_state_machine()):
        def get_call_kwargs(self, case):
            return {"headers": headers}

        def step(self, input):  # noqa: A002, its name there
            asked[input.transition.id if input.is_applied else NO_LINK] += 1
            return super().step(input)

        def validate_response(self, response, case, **_options):
            assert response.status_code < 500, response.text
            case.validate_response(response, headers=headers, excluded_checks=without)

    Walk.run(
        settings=settings(
            max_examples=runs,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
    )
    return asked


def test_every_link_names_an_operation_that_there_is(api):
    described = api[0].raw_schema["paths"]
    operations = [
        operation | {"label": f"{method.upper()} {path}"}
        for path, methods in described.items()
        for method, operation in methods.items()
    ]
    labels = {operation["operationId"]: operation["label"] for operation in operations}
    found = {
        (operation["operationId"], name): labels[link["operationId"]]
        for operation in operations
        for answer in operation["responses"].values()
        for name, link in answer.get("links", {}).items()
    }
    assert found == LINKED


def test_answers_to_linked_requests_are_as_described(api):
    asked = walk(api, 5, 6)
    assert set(asked) - {NO_LINK}


@pytest.mark.slow
def test_answers_to_many_linked_requests_are_as_described(api, record_property):
    asked = walk(api, MANY, 8)
    record_property("requests", dict(asked))
    assert sum(asked.values()) >= 2 * MANY
    followed = {tuple(link.split(" -> ")[::2]) for link in asked}
    assert ("POST /predict", "GET /predictions/history") in followed
    assert ("POST /predict", "POST /predict") in followed


class Numbered(BaseModel):
    number: int


class Ticket(BaseModel):
    id: str


@pytest.fixture(scope="module")
def broken(tmp_path_factory, empty_database):
    """The app with operations that do not keep what their description promises."""
    home = new_home(tmp_path_factory.mktemp("broken"), empty_database)
    registry = Registry(home)
    registry.promote("daily_risk", register(registry, small_model()), who="test", why="first")
    headers = {"X-API-Key": ensure_admin_key(home).read_text()}
    app = create_app(home, registry, lake=MemoryRows(rows()))

    def crashing(limit: int = 0):
        return JSONResponse({"number": limit}, 500 if limit > 0 else 200)

    def undocumented():
        return JSONResponse({"number": 1}, 418)

    def mistyped():
        return JSONResponse({"number": "one"})

    def unsaid():
        return JSONResponse({"number": 1}, media_type="text/plain")

    def first():
        return JSONResponse({"id": "ticket-7"})

    def second(ticket: str):
        return JSONResponse({"number": 1}, 500 if ticket == "ticket-7" else 200)

    for plant in (crashing, undocumented, mistyped, unsaid, second):
        app.add_api_route(f"/plant/{plant.__name__}", plant, response_model=Numbered)
    link = {"operationId": "second", "parameters": {"ticket": "$response.body#/id"}}
    links = {200: {"links": {"second": link}}}
    app.add_api_route("/plant/first", first, response_model=Ticket, responses=links)
    load_all_checks()
    with serve(app) as url:
        yield schemathesis.openapi.from_url(f"{url}/openapi.json"), headers


@pytest.mark.parametrize(
    ("plant", "breach"),
    [
        ("crashing", "ServerError"),
        ("undocumented", "UndefinedStatusCode"),
        ("mistyped", "JsonSchemaError"),
        ("unsaid", "UndefinedContentType"),
    ],
)
def test_a_planted_breach_of_the_description_is_caught(broken, plant, breach):
    with pytest.raises(FailureGroup) as caught:
        probe(broken, "GET", f"/plant/{plant}", VALID, FEW)
    assert breach in {type(each).__name__ for each in caught.value.exceptions}


def test_a_planted_crash_that_only_a_link_leads_to_is_caught(broken):
    schema, headers = broken
    probe(broken, "GET", "/plant/second", VALID, FEW)  # alone it looks sound
    planted = schema.include(path_regex="^/plant/(first|second)$")
    with pytest.raises(Exception, match=r"500|Server error"):
        walk((planted, headers), 10, 4)
