"""The form of log lines, and exceptions without the messages of other libraries."""

import json
import logging
from collections.abc import Callable, Iterator

import pytest

from send_whatsapp.telemetry import logs

Log = Callable[[logging.LogRecord], str]

FORGED = "12:00:00 INFO    send ended  workflow_id=other outcome=accepted"
BREAKS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1e", "\x85", "\u2028", "\u2029"]
CONTROLS = ["\0", "\b", "\x1b[1A\x1b[2K", "\x7f", "\x9b2K", "\u202e", "\u200b", "\ufeff", "\ud800"]


@pytest.fixture
def log() -> Iterator[Callable[[str], Log]]:
    """Return a function that sets up the log in a form and returns how it formats a record."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def set_up(form: str) -> Log:
        logs.set_up("INFO", form)
        return root.handlers[0].format

    yield set_up
    root.handlers[:], root.level = handlers, level


def record(error: BaseException) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__)
    made = logging.LogRecord("x", logging.ERROR, "", 1, "it broke", (), info)
    made.route = "/contacts"
    return made


@pytest.mark.parametrize("form", ["json", "text", "auto"])
def test_the_message_of_another_librarys_exception_is_not_logged(
    log: Callable[[str], Log], form: str
) -> None:
    try:
        raise ValueError("canary")
    except ValueError as error:
        cause = RuntimeError("a message of the worker")
        cause.__cause__ = error
        line = log(form)(record(cause))
    assert "canary" not in line
    assert "a message of the worker" in line
    assert "/contacts" in line
    assert "ValueError" in line


@pytest.mark.parametrize("control", [*BREAKS, *CONTROLS])
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_control_character_in_an_id_forges_no_log_line(
    log: Callable[[str], Log], form: str, control: str
) -> None:
    key = f"order-1{control}{FORGED}"
    made = logging.LogRecord("x", logging.INFO, "", 1, "send begins", (), None)
    made.workflow_id = key
    in_message = logging.LogRecord("x", logging.INFO, "", 1, "started %s", (key,), None)
    for line in map(log(form), (made, in_message)):
        assert len(line.splitlines()) == 1
        assert line.isprintable()
        assert "order-1" in line
        if form == "json":
            read = json.loads(line)
            assert key in (read.get("workflow_id"), read["message"].removeprefix("started "))


@pytest.mark.parametrize("control", BREAKS)
def test_a_line_break_in_the_message_of_an_exception_forges_no_log_line(
    log: Callable[[str], Log], control: str
) -> None:
    error = RuntimeError(f"no run has the id order-1{control}{FORGED}")
    first, *others = log("text")(record(error)).splitlines()
    assert "it broke" in first
    assert len(others) == 1
    assert others[0].startswith("  RuntimeError: no run has the id order-1")


def test_the_text_of_a_message_stays_readable_in_json(log: Callable[[str], Log]) -> None:
    made = logging.LogRecord("x", logging.INFO, "", 1, 'Zoë 👋 "x" \\ tab\t', (), None)
    line = log("json")(made)
    assert "Zoë 👋" in line
    assert json.loads(line)["message"] == made.getMessage()
