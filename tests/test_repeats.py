"""A line that repeats itself is logged a few times; then it is counted."""

from __future__ import annotations

import logging

import pytest

from gateway.repeats import KNOWN, TIMES, WINDOW, Repeats


class Log:
    """A logger whose lines pass the filter, and a clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[str] = []
        self.repeats = Repeats(lambda: self.now)

    def say(
        self, words: str, *args: object, level: int = logging.ERROR, name: str = "gateway.web", bug: object = None
    ) -> None:
        record = logging.LogRecord(name, level, "", 0, words, args, None)
        record.bug = bug
        if self.repeats.filter(record):
            self.lines.append(record.getMessage())


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_thousand_of_the_same_are_five_and_a_word_on_the_rest(log: Log) -> None:
    for _ in range(1000):
        log.say("answered 503: %s", "the disk is full")
    assert len(log.lines) == TIMES
    assert log.lines[-1] == "answered 503: the disk is full (more of the same is left out for 10 s)"
    log.now += WINDOW
    log.say("answered 503: %s", "the disk is full")
    assert log.lines[TIMES:] == [f"answered 503: the disk is full ({1000 - TIMES} more of the same were left out)"]


def test_lines_that_differ_in_a_word_are_all_logged(log: Log) -> None:
    for id in range(100):
        log.say("message.failed: message %d", id)
    log.say("message.failed: message %d", 0, name="gateway.desk")
    assert len(log.lines) == 101


def test_what_breaks_in_another_place_is_logged(log: Log) -> None:
    def broken(name: str) -> KeyError:
        try:
            if name == "x":
                raise KeyError(name)
            raise KeyError(name)
        except KeyError as error:
            return error

    for name in "x" * 100 + "y":
        log.say("a webhook broke: KeyError", bug=broken(name))
    assert len(log.lines) == TIMES + 1


def test_what_is_no_trouble_is_never_left_out(log: Log) -> None:
    for _ in range(100):
        log.say("session.opened", level=logging.INFO)
    assert len(log.lines) == 100


def test_lines_that_are_over_are_forgotten(log: Log) -> None:
    for id in range(5 * KNOWN):
        log.now += WINDOW / KNOWN
        log.say("message.failed: message %d", id)
    assert len(log.repeats._seen) <= KNOWN + 1


def test_a_line_whose_values_do_not_fit_is_for_whoever_formats_it() -> None:
    record = logging.LogRecord("x", logging.ERROR, "", 0, "%d", ("no number",), None)
    assert Repeats().filter(record)
