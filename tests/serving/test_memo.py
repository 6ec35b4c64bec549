"""What a server remembers is what it would compute, and goes with its model and its row."""

import pytest
from serving_world import rows
from small_model import small_model

from riskcast.core.errors import FeatureMissing
from riskcast.registry import LoadedModel
from riskcast.serving.features import LakeFeatures
from riskcast.serving.forecast import Memo, answer
from riskcast.tables import gold

TABLE = gold.FEATURES_DAILY


def newest(**changed):
    return LakeFeatures(None, "GSPC", TABLE)._row(rows(**changed).row(-1, named=True))


def loaded(**changed) -> LoadedModel:
    return LoadedModel(small_model(**changed), "1", "digest", {})


@pytest.mark.parametrize("given", [{}, {"lvix": -8.0}, {"tv1": -9.0, "lvix": -8.0}])
def test_a_remembered_answer_is_the_computed_one(given):
    memo, model, row = Memo(), loaded(), newest()
    asked = [memo.answer(model, row, each, TABLE) for each in ({"lvix": -7.5}, given, given)]
    assert asked[1] is asked[2]
    assert asked[2] == answer(model, row, given, TABLE)


def test_nothing_is_remembered_past_its_model_or_its_row():
    memo, first, before = Memo(), loaded(), newest()
    for model in (first, loaded(shift=0.5)):
        for row in (before, newest(lvix=-7.5)):
            said = memo.answer(model, row, {}, TABLE)
            assert said == answer(model, row, {}, TABLE)


def test_a_refusal_is_not_remembered():
    memo, model = Memo(), loaded()
    with pytest.raises(FeatureMissing):
        memo.answer(model, newest(lvix=None), {}, TABLE)
    assert memo.answer(model, newest(), {}, TABLE)["symbol"] == "GSPC"
