"""The harnesses on inputs that hypothesis makes: sound ones damaged here and there, and mere bytes."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))  # for tiers
from harnesses import HARNESSES

from tiers import tier


@st.composite
def damaged(draw, seeds):
    """A sound input with a few pieces replaced, removed or put in."""
    content = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        removed = draw(st.sampled_from([0, 1, 1, 2, 8, len(content)]))
        content = content[:start] + draw(st.binary(max_size=4)) + content[start + removed :]
    return content


@pytest.mark.parametrize("name", HARNESSES)
def test_sound_inputs_are_taken(name):
    for seed in HARNESSES[name].seeds():
        HARNESSES[name].run(seed)


@pytest.mark.parametrize("name", HARNESSES)
@settings(max_examples=tier(100, 3000), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_inputs_end_in_a_value_or_in_an_error_for_the_user(name, data):
    harness = HARNESSES[name]
    harness.run(data.draw(damaged(harness.seeds()) | st.binary(max_size=200)))
