"""The progress line in a terminal and in a log, on a clock that the test turns."""

from __future__ import annotations

import io

from agents.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """A terminal redraws."""
        return True


class Clock:
    """Seconds since the start, set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Read the clock."""
        return self.now


def run(stream: io.StringIO, seconds: int, per_second: int = 10) -> str:
    """100 steps a second for `seconds` of 100 s, with ten updates a second."""
    clock = Clock()
    with Progress(10_000, "agent steps", stream=stream, clock=clock) as progress:
        for tick in range(1, seconds * per_second + 1):
            clock.now = tick / per_second
            progress.update(int(clock.now * 100), regret=0.3125)
    return stream.getvalue()


def test_a_log_gets_a_line_every_five_seconds() -> None:
    """20 s and 200 updates: 4 whole lines, no control characters."""
    text = run(io.StringIO(), 20)
    assert "\r" not in text
    assert "\x1b" not in text
    assert len(text.splitlines()) == 4
    assert text.endswith("\n")


def test_the_line_gives_rate_remaining_time_and_values() -> None:
    """2000 of 10000 after 20 s: 100 a second, 80 s to go."""
    last = run(io.StringIO(), 20).splitlines()[-1]
    assert last == "20% 2.00k/10.0k [00:20<01:20, 100 agent steps/s, regret=0.312]"


def test_the_last_state_is_shown_even_when_it_is_early() -> None:
    """A run shorter than five seconds still says what it did, once."""
    lines = run(io.StringIO(), 2).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("2% 200/10.0k")


def test_a_terminal_redraws_one_line() -> None:
    """Every state begins with a carriage return, and the only line feed is the last character."""
    text = run(Terminal(), 20)
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert 100 <= text.count("\r") <= 200


def test_a_shorter_state_covers_a_longer_one() -> None:
    """Nothing of the old line stays visible to the right of the new one."""
    stream, clock = Terminal(), Clock()
    progress = Progress(100, stream=stream, clock=clock)
    clock.now = 1
    progress.update(10, regret=0.123456)
    clock.now = 2
    progress.update(20, regret=1)
    first, second = stream.getvalue().split("\r")[1:]
    assert len(second) == len(first)
    assert len(second.rstrip()) < len(first)


def test_resumed_work_counts_for_the_share_and_not_for_the_rate() -> None:
    """9000 of 10000 were done before; 100 more in 10 s is 10 a second, 90 s to go."""
    stream, clock = io.StringIO(), Clock()
    progress = Progress(10_000, start=9000, stream=stream, clock=clock)
    clock.now = 10
    progress.update(9100)
    assert stream.getvalue() == "91% 9.10k/10.0k [00:10<01:30, 10.0 steps/s]\n"


def test_a_note_is_a_line_of_its_own() -> None:
    """In a log just the line; in a terminal the progress line is wiped first and drawn again."""
    log = io.StringIO()
    Progress(10, stream=log).note("retired goal_3")
    assert log.getvalue() == "retired goal_3\n"
    terminal = Terminal()
    progress = Progress(10, stream=terminal)
    progress.note("retired goal_3")
    assert "retired goal_3\n\r" in terminal.getvalue()
