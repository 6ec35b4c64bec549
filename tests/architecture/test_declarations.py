"""The rules of the house that no type checker sees."""

import ast
import inspect
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from riskcast.core.errors import DeclarationError
from riskcast.core.load import load
from riskcast.core.settings import REGIMES
from riskcast.models import ENGINES
from riskcast.pipelines import PIPELINES, Pipeline, Step, tables_written
from riskcast.products import PRODUCTS
from riskcast.tables import TABLES
from riskcast.tables.spec import Column, Kind, Layer, Table, Write

SRC = Path(__file__).parents[2] / "src" / "riskcast"
STEPS = [(p.name, s) for p in PIPELINES.values() for s in p.steps]


@pytest.mark.parametrize(("pipeline", "step"), STEPS, ids=[f"{p}.{s.name}" for p, s in STEPS])
def test_a_step_names_a_function_that_takes_what_the_step_hands_over(pipeline, step):
    signature = inspect.signature(load(step.run))
    handed = {"product": step.product, "members": step.over}
    named = dict.fromkeys((*step.uses, *(name for name, given in handed.items() if given)))
    signature.bind(*(None for _ in step.reads), **named)


def test_a_table_whose_windows_are_replaced_is_written_by_one_function_only():
    written = tables_written(PIPELINES.values())
    for name, writers in written.items():
        # Elsewhere rows are added by key, so that one writer never removes another's.
        if TABLES[name].write is Write.REPLACE:
            assert len(writers) == 1, f"{name} is written by {writers}"


def test_every_table_read_is_written_by_some_step():
    written = tables_written(PIPELINES.values())
    read = {r.table.name for _, step in STEPS for r in step.reads}
    assert read <= set(written)


def test_every_declared_table_is_written_by_some_step():
    assert set(TABLES) == set(tables_written(PIPELINES.values()))


def test_a_step_comes_after_every_step_that_writes_what_it_reads():
    for pipeline in PIPELINES.values():
        order = [s.name for s in pipeline.ordered()]
        for step in pipeline.steps:
            for up in pipeline.upstream(step):
                assert order.index(up.name) < order.index(step.name)


def test_a_cycle_of_steps_is_refused():
    one = Step("one", "m:f", after=("two",))
    two = Step("two", "m:f", after=("one",))
    with pytest.raises(DeclarationError, match="cycle"):
        Pipeline("loop", "", (one, two))


def test_a_table_whose_key_is_no_column_is_refused():
    with pytest.raises(DeclarationError, match="no column"):
        Table(Layer.GOLD, "t", "", (Column("a", Kind.INT, ""),), key=("b",), time="a")


PRODUCT = next(iter(PRODUCTS.values()))


def test_every_candidate_and_challenger_has_an_engine_that_takes_its_parameters():
    for product in PRODUCTS.values():
        for candidate in product.with_challengers().candidates:
            load(ENGINES[candidate.engine])(columns=candidate.columns, **candidate.params)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lookback": 5, "offset": "benchmark"}, "choose one"),
        ({"lookback": 5}, "cannot be served"),
        ({"columns": ("no_such",)}, "no column"),
    ],
)
def test_a_pool_member_that_contradicts_itself_is_refused(change, said):
    member = PRODUCT.candidate(PRODUCT.pool[0])
    others = tuple(c for c in PRODUCT.candidates if c is not member)
    with pytest.raises(DeclarationError, match=said):
        replace(PRODUCT, candidates=(*others, replace(member, **change)))


def test_the_regimes_setting_and_the_product_know_the_same_definitions():
    assert set(PRODUCT.definitions) == set(REGIMES)
    assert PRODUCT.with_regimes("50-85").thresholds == ("rv5_q50", "rv5_q85")
    assert PRODUCT.with_regimes("terciles") == PRODUCT
    assert PRODUCT.with_regimes("50-85").recipe != PRODUCT.recipe
    with pytest.raises(DeclarationError, match="quartiles"):
        PRODUCT.with_regimes("quartiles")


def test_challengers_are_no_part_of_the_recipe():
    assert replace(PRODUCT, challengers=()).recipe == PRODUCT.recipe


def test_reading_the_declarations_imports_nothing_but_the_standard_library():
    code = (
        "import sys; before = set(sys.modules)\n"
        "import riskcast.pipelines, riskcast.core.settings\n"
        "new = {m.partition('.')[0] for m in set(sys.modules) - before}\n"
        "print(sorted(m for m in new if m not in sys.stdlib_module_names and m != 'riskcast'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_product_is_named_in_code_outside_products_and_pipelines():
    names = set(PRODUCTS)
    for path in SRC.rglob("*.py"):
        if path.relative_to(SRC).parts[0] in ("products", "pipelines"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and node.value in names:
                pytest.fail(f"{path}:{node.lineno} names the product {node.value!r}")


def test_modules_stay_short_enough_to_read_in_one_sitting():
    plugins = SRC.parents[1] / "plugins"
    lengths = {p: len(p.read_text().splitlines()) for d in (SRC, plugins) for p in d.rglob("*.py")}
    assert {p: n for p, n in lengths.items() if n > 400} == {}


def test_the_same_column_name_has_the_same_kind_everywhere():
    kinds: dict[str, set[str]] = {}
    for table in TABLES.values():
        for column in table.every_column:
            kinds.setdefault(column.name, set()).add(column.kind)
    assert {name: k for name, k in kinds.items() if len(k) > 1} == {}
