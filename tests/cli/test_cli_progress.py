from __future__ import annotations

import io

import pytest

from wetgate.cli.progress import Progress, duration


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_log_gets_a_line_every_few_seconds_and_the_last_one(clock):
    log = io.StringIO()
    with Progress(10, "frames", stream=log, clock=clock) as progress:
        for done in range(11):
            progress.update(done)
            clock.now += 1
    counts = [line.split(" ")[0] for line in log.getvalue().splitlines()]
    assert counts == ["0/10", "5/10", "10/10"]


def test_the_time_left_counts_from_the_first_update(clock):
    log = io.StringIO()
    progress = Progress(100, "steps", stream=log, clock=clock)
    progress.update(50)
    clock.now += 30
    progress.update(60, "loss 0.1")
    assert log.getvalue().splitlines()[1] == "60/100 steps   60%  2:00 left  loss 0.1"


def test_a_terminal_has_one_line_that_is_rewritten(clock):
    terminal = Terminal()
    with Progress(2, "pairs", stream=terminal, clock=clock) as progress:
        progress.update(1)
        clock.now += 0.01
        progress.update(2)
    assert terminal.getvalue() == "\r1/2 pairs   50%\x1b[K\r2/2 pairs  100%\x1b[K\n"


def test_without_a_total_there_is_only_a_count(clock):
    log = io.StringIO()
    Progress(None, "steps", stream=log, clock=clock).update(7, "warming up")
    assert log.getvalue() == "7 steps  warming up\n"


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_quiet_says_nothing(stream, clock):
    with Progress(2, "pairs", quiet=True, stream=stream, clock=clock) as progress:
        progress.update(1)
    assert stream.getvalue() == ""


def test_nothing_done_is_nothing_said(clock):
    log = io.StringIO()
    with Progress(0, "frames", stream=log, clock=clock) as progress:
        pass
    assert log.getvalue() == ""
    progress.update(0)
    assert log.getvalue() == "0/0 frames  100%\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (7.4, "7 s"), (59.6, "1:00"), (65, "1:05"), (3600 * 2 + 190, "2:03:10")]
)
def test_durations_read_like_a_clock(seconds, text):
    assert duration(seconds) == text
