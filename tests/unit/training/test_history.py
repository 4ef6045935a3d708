import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.training.history import EpochRow, History, StepRow, to_csv


def epoch_row(number, accuracy, stage=1):
    return EpochRow(stage, number, 1.0, 0.5, 1.25, accuracy, 0.001, 2.0, 10.0, True)


def history_of(*accuracies, stage=1):
    history = History()
    for number, accuracy in enumerate(accuracies, start=1):
        history.add(epoch_row(number, accuracy, stage))
    return history


@pytest.mark.parametrize(
    ("accuracies", "best"),
    [
        ([0.5], 0),
        ([0.5, 0.75, 0.75, 0.5], 1),
        ([0.0, 0.0], 0),
        ([math.nan], None),
        ([math.nan, 0.0], 1),
        ([0.5, math.nan, 0.25], 0),
        ([0.25, math.nan, 0.5], 2),
    ],
)
def test_the_earliest_best_wins_and_nan_never(accuracies, best):
    assert history_of(*accuracies).best == best


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_an_epoch_whose_loss_is_no_number_is_never_the_best(loss):
    history = history_of(0.25)
    assert not history.add(replace(epoch_row(2, 0.5), val_loss=loss))
    assert history.best == 0


def test_add_tells_whether_an_epoch_is_the_best():
    history = History()
    assert [history.add(epoch_row(i, a)) for i, a in enumerate([math.nan, 0.5, 0.5, 0.75, 0.25])] == [
        False,
        True,
        False,
        True,
        False,
    ]


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1))
def test_best_is_the_first_maximum(accuracies):
    assert history_of(*accuracies).best == accuracies.index(max(accuracies))


def test_epochs_of_a_stage_leave_out_the_fit():
    history = History()
    rows = [epoch_row(0, 0.9), epoch_row(1, 0.5), epoch_row(2, 0.6), epoch_row(3, 0.7, stage=2)]
    for row in rows:
        history.add(row)
    assert history.of_stage(1) == rows[1:3]
    assert history.of_stage(2) == rows[3:]
    assert history.of_stage(3) == []


@pytest.mark.parametrize(
    ("accuracies", "waited"), [([], 0), ([0.5], 0), ([0.5, 0.5, 0.5], 2), ([0.1, 0.2, 0.3], 0), ([0.9, 0.1, 0.2], 2)]
)
def test_waiting_counts_epochs_since_the_best_of_the_stage(accuracies, waited):
    history = history_of(*accuracies)
    assert history.waited(1) == waited
    assert history.waited(2) == 0


def test_a_history_survives_json():
    history = history_of(0.5, 0.75)
    history.steps.append(StepRow(1, 1, 1, 0.1 + 0.2))
    again = History.from_json(json.loads(json.dumps(history.to_json())))
    assert again == history
    assert isinstance(again.epochs[0].cached, bool)
    assert History.from_json(json.loads(json.dumps(History().to_json()))) == History()


def test_csv():
    assert to_csv([epoch_row(1, 1 / 3)], EpochRow).splitlines() == [
        "stage,epoch,train_loss,train_accuracy,val_loss,val_accuracy,lr,seconds,images_per_second,cached",
        "1,1,1,0.5,1.25,0.333333,0.001,2,10,1",
    ]
    assert to_csv([StepRow(2, 3, 40, 0.00012345678)], StepRow) == "stage,epoch,step,loss\n2,3,40,0.000123457\n"
    assert to_csv([], StepRow) == "stage,epoch,step,loss\n"
