import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.errors import PlanError
from frostline.plan.grammar import StageText, parse_stages

STAGES = st.builds(
    StageText,
    part=st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]{0,20}", fullmatch=True),
    epochs=st.integers(1, 10_000),
    lr=st.none() | st.integers(1, 99_999).flatmap(lambda n: st.integers(-8, 1).map(lambda e: float(f"{n}e{e}"))),
    size=st.none() | st.integers(8, 2048),
)


@given(st.lists(STAGES, min_size=1, max_size=5))
def test_what_is_written_is_read_back(stages):
    assert parse_stages(", ".join(map(str, stages))) == tuple(stages)


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ("head:5", [StageText("head", 5)]),
        ("head:5, layer4:3@1e-4", [StageText("head", 5), StageText("layer4", 3, 1e-4)]),
        (" layer4.0 : 2 @ .01 ,", [StageText("layer4.0", 2, 0.01)]),
        ("all:1@1E-5", [StageText("all", 1, 1e-5)]),
        ("features.24:007@2", [StageText("features.24", 7, 2.0)]),
        ("all:4@1e-3/160, all:2", [StageText("all", 4, 1e-3, 160), StageText("all", 2)]),
        ("all:4 / 8", [StageText("all", 4, None, 8)]),
    ],
)
def test_plans_read_by_hand(text, stages):
    assert list(parse_stages(text)) == stages


@pytest.mark.parametrize(
    "text",
    [
        "head",
        "head:",
        ":5",
        "head:five",
        "head:-1",
        "head:1.5",
        "head:5@",
        "head:5@-1e-4",
        "head:5@fast",
        "head:5@1e",
        "head:5;all:5",
        "he ad:5",
        "head:5@1.2.3",
        "head:5@.",
        "head:5@nan",
        "head:5/",
        "head:5/1.5",
        "head:5/64@1e-3",
    ],
)
def test_a_malformed_stage_is_named(text):
    with pytest.raises(PlanError, match="is not understood") as caught:
        parse_stages(f"head:1, {text}")
    assert "\n" not in str(caught.value)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["head:0", "head:3@0", "head:3@0.0", "head:5@1e999"])
def test_a_stage_that_trains_nothing_is_refused(text):
    with pytest.raises(PlanError, match="trains nothing"):
        parse_stages(text)


@pytest.mark.parametrize("size", [0, 7, 2049])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(PlanError, match=rf"{size} pixels are no size; allowed are 8 to 2048"):
        parse_stages(f"head:3/{size}")


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_an_empty_plan_is_refused(text):
    with pytest.raises(PlanError, match="the plan is empty"):
        parse_stages(text)
