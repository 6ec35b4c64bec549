"""POST /predict/batch: each item as /predict would answer it, errors apart."""

import json

import pytest
from serving_world import LAST, SESSIONS

from riskcast.serving.batch import MAX_BATCH_BODY, MOST_ITEMS, BatchResponse

PATH = "/predict/batch"


def ask(client, *items):
    response = client.post(PATH, json={"items": list(items)})
    assert response.status_code == 200, response.text
    return BatchResponse.model_validate_json(response.content)


def test_items_are_answered_in_order_as_predict_answers_them(client):
    items = [{}, {"as_of_date": SESSIONS[-5].isoformat()}, {"feature_vector": {"tv1": -9.0}}]
    said = ask(client, *items)
    assert (said.failed, [each.index for each in said.answers]) == (0, [0, 1, 2])
    for item, each in zip(items, said.answers, strict=True):
        alone = client.post("/predict", json=item).json()
        assert each.forecast.rv_5d_hat == alone["rv_5d_hat"]
        assert each.forecast.mode == alone["mode"]
    assert len({each.forecast.request_id for each in said.answers}) == 3


def test_an_item_that_cannot_be_answered_spoils_no_other(client):
    said = ask(
        client, {"as_of_date": "2018-12-25"}, {}, {"feature_vector": {"vixx": 1}},
        {"as_of_date": "2050-01-03"},
    )  # fmt: skip
    codes = [each.error.code if each.error else None for each in said.answers]
    assert codes == ["no-such-session", None, "feature-unknown", "no-such-session"]
    assert said.failed == 3
    assert said.answers[1].forecast.as_of_date == LAST
    assert all((each.forecast is None) == (each.error is not None) for each in said.answers)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b'{"items": []}', b'{"items": [7]}', b'{"items": [{"as_of": 1}]}',
        b'{"items": [{}], "more": 1}',
        json.dumps({"items": [{}] * (MOST_ITEMS + 1)}).encode(),
    ],
)  # fmt: skip
def test_a_malformed_batch_is_refused_as_a_whole(client, body):
    response = client.post(PATH, content=body)
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "invalid-request"


def test_a_batch_that_is_too_large_is_refused(client):
    response = client.post(PATH, content=b" " * (MAX_BATCH_BODY + 1))
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body-too-large")


def test_every_answer_of_a_batch_is_recorded_and_no_failure_is(client, spooled):
    before = len(spooled())
    said = ask(client, {}, {"as_of_date": "2018-12-25"}, {})
    rows = spooled()[before:]
    ids = [each.forecast.request_id for each in said.answers if each.forecast]
    assert [row["request_id"] for row in rows] == ids
