import pytest
import torch
from torch import nn

from frostline.hardware import make_fabric
from frostline.network.build import NetworkSpec, build
from frostline.network.cuts import Cut
from frostline.network.splitting import Split, split
from frostline.plan.price import RAM_LIMIT, Part, Timing, Workload, price_stage, seconds_per_picture, time_suffix
from frostline.plan.stages import Stage, freeze

ROOM = 10**12
TIMING = Timing(decode=1.0, prefix=9.0, train=2.0, evaluate=0.5)
WORK = Workload(train=100, val=20, rows=120, missing=120)


def price(*, epochs=5, position=7, work=WORK, timing=TIMING, row_bytes=1000, mode="auto", room=ROOM):
    cut = Cut("layer3" if position else "input", position, ("x",), ((10,),))
    empty = torch.fx.GraphModule(nn.Module(), torch.fx.Graph())
    stage = Stage(0, "layer4", epochs, 0.1, cut)
    return price_stage(stage, Split(cut, empty, empty, empty), [Part(work, timing, row_bytes)], mode=mode, room=room)


def test_seconds_and_bytes_by_hand():
    got = price()
    suffix = 5 * (100 * 2.0 + 20 * 0.5)
    assert got.epoch_seconds == suffix / 5
    assert got.seconds_direct == 5 * 120 * 10 + suffix
    assert got.seconds_stored == 120 * 10 + suffix
    assert got.bytes == 120_000
    assert (got.choice, got.seconds) == ("disk", got.seconds_stored)
    assert "3.1 times faster" in got.why


def test_pictures_of_two_sizes_add_up():
    """The training pictures of one size, the validation pictures of another."""
    small = Part(Workload(100, 0, 100, 50), Timing(1.0, 2.0, 0.5, 9.0), 300)
    large = Part(Workload(0, 20, 20, 20), TIMING, 1000)
    cut = Cut("layer3", 7, ("x",), ((10,),))
    empty = torch.fx.GraphModule(nn.Module(), torch.fx.Graph())
    got = price_stage(
        Stage(0, "layer4", 5, 0.1, cut, 64), Split(cut, empty, empty, empty), [small, large], mode="auto", room=ROOM
    )
    suffix = 5 * (100 * 0.5 + 20 * 0.5)
    assert got.seconds_direct == 5 * (100 * 3 + 20 * 10) + suffix
    assert got.seconds_stored == 50 * 3 + 20 * 10 + suffix
    assert (got.rows, got.missing, got.bytes) == (120, 70, 50_000)


def test_rows_that_are_there_cost_nothing():
    got = price(work=Workload(100, 20, 120, 20))
    assert got.seconds_stored == 20 * 10 + 5 * 210
    assert got.missing == 20


def test_large_stores_cost_reading():
    row_bytes = RAM_LIMIT // 100
    got = price(row_bytes=row_bytes)
    assert got.seconds_stored == pytest.approx(price().seconds_stored + 5 * 120 * row_bytes / 1e9)
    assert "read into memory" not in got.why
    assert "read into memory" in price().why


@pytest.mark.parametrize("mode", ["auto", "ram", "disk", "off"])
def test_nothing_frozen_is_never_stored(mode):
    got = price(position=0, mode=mode)
    assert (got.choice, got.why) == ("off", "nothing is frozen")


@pytest.mark.parametrize("mode", ["auto", "ram", "disk", "off"])
def test_random_views_are_never_stored(mode):
    got = price(work=Workload(100, 20, 0, 0), mode=mode)
    assert got.choice == "off"
    assert "views drawn anew never repeat" in got.why


@pytest.mark.parametrize("mode", ["ram", "disk", "off"])
@pytest.mark.parametrize("room", [0, ROOM])
def test_what_was_asked_for_is_done(mode, room):
    got = price(mode=mode, room=room)
    assert (got.choice, got.why) == (mode, "as asked for")
    assert got.seconds == (got.seconds_direct if mode == "off" else got.seconds_stored)


def test_auto_uses_what_is_stored_even_where_there_is_no_room():
    got = price(work=Workload(100, 20, 120, 0), room=0)
    assert (got.choice, got.why) == ("disk", "all stored before")


def test_auto_computes_what_does_not_fit():
    got = price(row_bytes=10**8, room=12 * 10**9 - 1)
    assert (got.choice, got.seconds) == ("off", got.seconds_direct)
    assert "activations of 12.0 GB do not fit in 12.0 GB" in got.why
    assert price(row_bytes=10**8, room=12 * 10**9).choice == "disk"


def test_auto_computes_where_storing_saves_nothing():
    got = price(epochs=1)  # each row is needed once
    assert (got.choice, got.why) == ("off", "storing would cost more than it saves")
    crops = Workload(train=100, val=20, rows=820, missing=820)
    assert price(epochs=6, work=crops).choice == "off"
    assert price(epochs=7, work=crops).choice == "disk"


@pytest.mark.parametrize("part", ["all", "layer3", "head"])
def test_timing_leaves_the_network_as_it_was(part):
    network = build(NetworkSpec(model="resnet18", classes=3, width=0.25, image_size=32))
    traced = network.trace()
    divided = split(traced, traced.before(part))
    freeze(network.module, divided)
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    values = [torch.randn(4, *shape) for shape in divided.cut.shapes]
    given = [value.clone() for value in values]
    train, evaluate = time_suffix(divided, divided.suffix.train(), values, make_fabric("cpu", "fp32"))
    assert all(torch.equal(value, before[name]) for name, value in network.module.state_dict().items())
    assert all(parameter.grad is None for parameter in network.module.parameters())
    assert all(map(torch.equal, values, given))
    assert min(train, evaluate) > 0


@pytest.mark.parametrize(("seconds", "counts"), [(0.0, [8, 32, 100]), (1.0, [8]), (0.01, [8, 32])])
def test_timing_takes_more_pictures_until_a_moment_is_filled(monkeypatch, seconds, counts):
    """Each number of pictures is worked on twice: to warm up, and to be timed."""
    done, clock = [], [0.0]

    def work(count):
        done.append(count)
        clock[0] += count * seconds

    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    got = seconds_per_picture(work, 100, make_fabric("cpu", "fp32"))
    assert got == pytest.approx(seconds)
    assert done == [count for count in counts for _ in range(2)]


def test_timing_never_takes_more_pictures_than_a_step_has():
    done = []
    seconds_per_picture(done.append, 3, make_fabric("cpu", "fp32"))
    assert set(done) == {3}


def test_pictures_kept_in_memory_are_decoded_once():
    slow = Timing(decode=1.0, prefix=0.0, train=0.0, evaluate=0.0)
    once = price(work=Workload(100, 20, 0, 0, is_decoded_once=True), timing=slow)
    always = price(work=Workload(100, 20, 0, 0), timing=slow)
    assert once.seconds_direct == 120
    assert always.seconds_direct == 5 * 120
