import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from frostline.errors import PlanError
from frostline.plan.schedules import count_plateaus, parse_schedule


def theirs(make, steps):
    """Learning rates of a torch scheduler at each step, from a rate of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def ours(text, *, steps_per_epoch, epochs):
    schedule = parse_schedule(text)
    return [
        schedule.factor(step, steps_per_epoch=steps_per_epoch, epochs=epochs)
        for step in range(steps_per_epoch * epochs)
    ]


@given(every=st.integers(1, 5), factor=st.floats(0.01, 1), epochs=st.integers(1, 12), steps=st.integers(1, 4))
def test_step_is_torchs(every, factor, epochs, steps):
    expected = theirs(lambda o: lr_scheduler.StepLR(o, every, gamma=factor), epochs)
    got = ours(f"step:{every}:{factor}", steps_per_epoch=steps, epochs=epochs)
    assert got == pytest.approx([rate for rate in expected for _ in range(steps)], rel=1e-9)


@given(factor=st.floats(0.01, 1), epochs=st.integers(1, 12), steps=st.integers(1, 4))
def test_exponential_is_torchs(factor, epochs, steps):
    expected = theirs(lambda o: lr_scheduler.ExponentialLR(o, gamma=factor), epochs)
    got = ours(f"exponential:1:{factor}", steps_per_epoch=steps, epochs=epochs)
    assert got == pytest.approx([rate for rate in expected for _ in range(steps)], rel=1e-9)


@given(epochs=st.integers(1, 12), steps=st.integers(1, 9))
def test_cosine_is_torchs(epochs, steps):
    total = epochs * steps
    expected = theirs(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=total), total)
    assert ours("cosine", steps_per_epoch=steps, epochs=epochs) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(epochs=st.integers(1, 12), steps=st.integers(1, 9))
def test_linear_is_torchs(epochs, steps):
    total = epochs * steps
    expected = theirs(lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=total), total)
    assert ours("linear", steps_per_epoch=steps, epochs=epochs) == pytest.approx(expected, rel=1e-6)


def test_linear_rises_over_its_warmup_and_falls_to_nothing():
    rates = ours("linear:2", steps_per_epoch=5, epochs=6)
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10:] == pytest.approx([(20 - i) / 20 for i in range(20)])


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_a_stage_shorter_than_its_warmup_rises_over_half_of_it(kind):
    rates = ours(f"{kind}:4", steps_per_epoch=5, epochs=2)
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5] == 1
    assert rates[6:] == sorted(rates[6:], reverse=True)
    assert rates[-1] < 0.25


@given(share=st.sampled_from([0.1, 0.3, 0.45, 0.9]), epochs=st.integers(1, 12), steps=st.integers(1, 9))
def test_onecycle_is_torchs(share, epochs, steps):
    total = epochs * steps
    if share * total <= 1:  # torch divides by zero, or walks backwards
        return
    expected = theirs(lambda o: OneCycleUnbounded(o, total, share), total)
    assert ours(f"onecycle:{share}", steps_per_epoch=steps, epochs=epochs) == pytest.approx(expected, rel=1e-6)


class OneCycleUnbounded(lr_scheduler.OneCycleLR):
    """OneCycleLR that does not mind the `step()` after the last update."""

    def __init__(self, optimizer, total, share):
        super().__init__(optimizer, max_lr=1.0, total_steps=total, pct_start=share)

    def get_lr(self):
        return super().get_lr() if self.last_epoch < self.total_steps else [0.0]


@pytest.mark.parametrize("share", [0.1, 0.25, 0.3, 0.5, 0.99])
@pytest.mark.parametrize("total", [1, 2, 3, 4, 10])
def test_onecycle_stays_within_bounds_on_any_number_of_steps(share, total):
    rates = ours(f"onecycle:{share}", steps_per_epoch=total, epochs=1)
    assert all(0 < rate <= 1 for rate in rates)


@given(
    losses=st.lists(st.floats(0.01, 10) | st.just(math.nan) | st.just(math.inf), max_size=25),
    factor=st.sampled_from([0.1, 0.5, 0.9]),
    patience=st.integers(0, 4),
)
@example(losses=[1.0, 0.99995, 0.9998, 1.0, 1.0], factor=0.5, patience=1)  # around the threshold
def test_plateau_is_torchs(losses, factor, patience):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=patience, eps=0)
    schedule = parse_schedule(f"plateau:{factor}:{patience}")
    for epoch in range(len(losses)):
        scheduler.step(losses[epoch])
        got = schedule.factor(0, steps_per_epoch=1, epochs=99, val_losses=losses[: epoch + 1])
        assert got == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)


def test_plateaus_counted_by_hand():
    assert count_plateaus([], 2) == 0
    assert count_plateaus([3, 2, 1], 0) == 0
    assert count_plateaus([1, 1, 1], 2) == 0
    assert count_plateaus([1, 1, 1, 1], 2) == 1
    assert count_plateaus([1, 2, 3, 4, 0.5, 1, 1, 1], 2) == 2


def test_warmup_rises_by_hand():
    rates = ours("cosine:2", steps_per_epoch=2, epochs=4)
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4:] == pytest.approx([1, 0.5 + 0.5 * math.cos(math.pi / 4), 0.5, 0.5 - 0.5 * math.cos(math.pi / 4)])


@given(
    text=st.sampled_from(
        ["constant", "step", "exponential", "cosine", "cosine:1", "cosine:0.3", "cosine:50", "onecycle", "plateau"]
    ),
    steps=st.integers(1, 7),
    epochs=st.integers(1, 9),
)
def test_every_factor_lies_between_zero_and_one(text, steps, epochs):
    assert all(0 <= rate <= 1 for rate in ours(text, steps_per_epoch=steps, epochs=epochs))


def test_defaults():
    for short, long in {
        "step": "step:7:0.1",
        "exponential": "exponential:1:0.9",
        "cosine": "cosine:0",
        "onecycle": "onecycle:0.3",
        "plateau": "plateau:0.5:2",
        " Step:7 ": "step:7:0.1",
    }.items():
        assert parse_schedule(short) == parse_schedule(long)
    assert parse_schedule("constant").factor(5, steps_per_epoch=1, epochs=9) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "straight",
        "constant:1",
        "step:x",
        "step:1:2:3",
        "step:0",
        "step:3:1.5",
        "step:nan",
        "step:inf",
        "exponential:-1",
        "exponential:inf",
        "cosine:-1",
        "cosine:inf",
        "onecycle:0",
        "onecycle:1",
        "plateau:1",
        "plateau:0.5:-1",
        "plateau:0.5:inf",
        "step:",
    ],
)
def test_a_wrong_schedule_is_refused_with_all_that_are_allowed(text):
    with pytest.raises(PlanError, match=r"allowed are constant, step:N.*plateau") as caught:
        parse_schedule(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["step:1.5:0.5", "step:1.5", "exponential:2.5:0.9", "plateau:0.5:1.9"])
def test_epochs_to_count_are_whole(text):
    with pytest.raises(PlanError, match=r"(1\.5|2\.5|1\.9) must be a whole number of epochs; allowed are") as caught:
        parse_schedule(text)
    assert "\n" not in str(caught.value)


def test_a_whole_number_may_be_written_with_a_point():
    assert parse_schedule("step:2.0:0.5") == parse_schedule("step:2:0.5")
