"""Ctrl-C and SIGTERM become an exception, at a moment at which nothing is left half done."""

import signal
import threading

import pytest

from bench.interrupt import Interrupted, interruptible, uninterrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_becomes_an_exception_once(number):
    """A second one does not disturb the cleaning up."""
    cleaned = False
    with interruptible():
        with pytest.raises(Interrupted):
            signal.raise_signal(number)
        signal.raise_signal(number)
        cleaned = True
    assert cleaned


def test_a_signal_waits_until_the_block_that_must_not_be_cut_has_ended():
    """The whole block runs; the exception comes right after it."""
    steps = []

    def work():
        with uninterrupted():
            signal.raise_signal(signal.SIGTERM)
            steps.append("written whole")
        steps.append("not reached")

    with interruptible(), pytest.raises(Interrupted):
        work()
    assert steps == ["written whole"]


def test_outside_the_main_thread_the_block_just_runs():
    """No signal is handled there, and none can be held back."""
    ran = []

    def work():
        with uninterrupted():
            ran.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ran == [True]
