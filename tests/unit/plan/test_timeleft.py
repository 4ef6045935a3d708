import pytest

from frostline.network.cuts import Cut
from frostline.plan.price import StagePrice
from frostline.plan.stages import Stage
from frostline.plan.timeleft import TimeLeft

PASS = 30.0


def price(number, *, epochs, each, choice="disk"):
    stage = Stage(number, "head", epochs, 0.1, Cut("pool", 3, ("x",), ((10,),)))
    stored, direct = (PASS + epochs * each, 1e9) if choice == "disk" else (1e9, epochs * each)
    return StagePrice(stage, 10, 10, 100, PASS, stored, direct, choice, "why")


def test_before_anything_is_known_the_price_counts():
    left = TimeLeft({0: price(0, epochs=4, each=10.0), 1: price(1, epochs=2, each=50.0)})
    assert left.after(0, 0, 0.0, 0.0) == pytest.approx(4 * 10 + PASS + 2 * 50)
    assert left.after(1, 1, 0.0, 0.0) == pytest.approx(50)


def test_half_an_epoch_at_its_price_leaves_the_rest():
    left = TimeLeft({0: price(0, epochs=4, each=10.0, choice="off")})
    assert left.after(0, 1, 0.5, 5.0) == pytest.approx(25)


@pytest.mark.parametrize("done", [1, 5, 50])
def test_slow_epochs_raise_what_is_left(done):
    left = TimeLeft({0: price(0, epochs=done + 10, each=10.0)})
    for _ in range(done):
        left.note(0, 30.0)
    expected = 10 * 10 * (3 * done + 1) / (done + 1)  # the price weighs as much as one epoch
    assert left.after(0, done, 0.0, 0.0) == pytest.approx(expected)


def test_a_slow_epoch_is_noticed_before_it_ends():
    left = TimeLeft({0: price(0, epochs=2, each=10.0)})
    assert left.after(0, 0, 0.5, 15.0) == pytest.approx(15 * (15 + 10) / (5 + 10))


def test_nothing_is_left_at_the_end():
    left = TimeLeft({0: price(0, epochs=2, each=10.0)})
    assert left.after(0, 1, 1.0, 10.0) == pytest.approx(0.0)
