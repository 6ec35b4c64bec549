from dataclasses import fields
from pathlib import Path

import pytest

from riskcast.core.errors import SettingsError
from riskcast.core.settings import Settings, read_settings


def test_the_example_file_lists_every_setting_with_its_default():
    text = (Path(__file__).parents[2] / ".env.example").read_text()
    said = {
        line.removeprefix("#RISKCAST_").partition("=")[0].lower(): line.partition("=")[2]
        for line in text.splitlines()
        if line.startswith("#RISKCAST_")
    }
    assert said == {field.name: field.default for field in fields(Settings)}


def test_a_misspelt_setting_is_refused_by_name():
    with pytest.raises(SettingsError, match="RISKCAST_SORUCE"):
        read_settings({"RISKCAST_SORUCE": "files"})


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"RISKCAST_SOURCE": "bloomberg"}, "sample"),
        ({"RISKCAST_SOURCE": "files"}, "RISKCAST_FILES"),
        ({"RISKCAST_API_PORT": "eighty"}, "RISKCAST_API_PORT"),
        ({"RISKCAST_API_PORT": "70000"}, "RISKCAST_API_PORT"),
        ({"RISKCAST_PLACE": "moon"}, "RISKCAST_PLACE"),
        ({"RISKCAST_SAMPLE_SHIFT": "2018:4"}, "session:factor"),
        ({"RISKCAST_ROLLOUT_BAKE": "ten"}, "RISKCAST_ROLLOUT_BAKE"),
        ({"RISKCAST_LIMIT_PSI": "20%"}, "RISKCAST_LIMIT_PSI"),
        ({"RISKCAST_COOL_DOWN": "2.5"}, "RISKCAST_COOL_DOWN"),
        ({"RISKCAST_MARKET": "bloomberg"}, "tiingo"),
        ({"RISKCAST_MARKET_URL": "http://mirror"}, "RISKCAST_MARKET=yahoo"),
        ({"RISKCAST_FRED_URL": "mirror:80"}, "RISKCAST_FRED_URL"),
        ({"RISKCAST_REGIMES": "quartiles"}, "terciles"),
        ({"RISKCAST_ROUTER": "haproxy"}, "alb"),
        ({"RISKCAST_ROUTER": "alb", "RISKCAST_ALB_RULES": "p=arn:1"}, "RISKCAST_ALB_GREEN"),
        *(({"RISKCAST_CANARY_STEPS": steps}, "rising") for steps in ("", "0,5", "5,5", "75", "a")),
    ],
)
def test_an_impossible_value_is_refused_and_the_cure_named(environ, said):
    with pytest.raises(SettingsError, match=said):
        read_settings(environ)


def test_live_data_have_the_wall_clock_and_others_their_own():
    assert Settings(source="live").live
    assert not Settings(source="files", files="bars").live
    assert not Settings().live


def test_other_variables_are_nobody_s_business():
    assert read_settings({"PATH": "/bin", "RISKCAST_BENCH_DATA": "x"}) == Settings()
