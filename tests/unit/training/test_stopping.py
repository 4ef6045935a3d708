# ruff: noqa: PT012  # what is tested is where in the block it is raised

import os
import signal
import threading
import time

import pytest

from frostline.training import stopping
from frostline.training.stopping import Stop


@pytest.fixture(autouse=True)
def _handlers_stay_as_they_were():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGALRM) == before[2]
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


class Ended(Exception):
    pass


def ending(*_):
    raise Ended


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Ended)])
def test_a_signal_waits_until_it_is_asked_for(number, raised):
    signal.signal(signal.SIGTERM, ending)
    with pytest.raises(raised), Stop() as stop:
        assert not stop.is_wanted
        os.kill(os.getpid(), number)
        assert stop.is_wanted
        stop.end()
    assert signal.getsignal(signal.SIGTERM) is ending


def test_a_second_signal_does_not_wait():
    with pytest.raises(KeyboardInterrupt), Stop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_wanted
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second one was to raise")


def test_a_signal_that_nobody_asked_for_has_its_effect_at_the_end():
    reached = False
    with pytest.raises(KeyboardInterrupt), Stop():
        os.kill(os.getpid(), signal.SIGINT)
        reached = True
    assert reached


def test_a_signal_has_its_effect_at_once_where_it_may():
    with pytest.raises(KeyboardInterrupt), Stop() as stop, stop.at_once():
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it was to raise")


def test_one_that_came_before_has_its_effect_there_too():
    with pytest.raises(KeyboardInterrupt), Stop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        with stop.at_once():
            pytest.fail("it was to raise")


def test_a_signal_waits_some_seconds_only(monkeypatch):
    monkeypatch.setattr(stopping, "GRACE", 1)
    with pytest.raises(KeyboardInterrupt), Stop():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)  # longer than the grace given here, shorter than the usual one
        pytest.fail("it waited on")


def test_what_is_ignored_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert not stop.is_wanted


def test_another_exception_goes_before_the_signal():
    with pytest.raises(ValueError, match="first"), Stop():
        os.kill(os.getpid(), signal.SIGINT)
        raise ValueError("first")


def test_in_another_thread_nothing_is_changed():
    handlers = []

    def work():
        with Stop():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]
