"""Generated requests to every operation: no 5xx, no answer that its description does not cover."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from riskcast.serving.auth import ensure_admin_key

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.checks import CHECKS, load_all_checks  # noqa: E402

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
    """Send so many generated requests; each answer is checked."""
    schema, headers = api
    without = [check for check in CHECKS.get_all() if check.__name__ in NOT_MEANT]
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

    answered_as_described()
    assert seen
    assert max(seen) < 500


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
def test_answers_to_many_requests_are_as_described(api, method, path, mode):
    alone = len(OPERATIONS[method, path]) == 1
    probe(api, method, path, mode, MANY * (2 if alone else 1))
