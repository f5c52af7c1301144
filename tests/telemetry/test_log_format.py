"""The form of log lines, and exceptions without the messages of other libraries."""

import logging

import pytest

from send_whatsapp.telemetry import logs


def record(error: BaseException) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__)
    made = logging.LogRecord("x", logging.ERROR, "", 1, "it broke", (), info)
    made.route = "/contacts"
    return made


@pytest.mark.parametrize("form", ["json", "text", "auto"])
def test_the_message_of_another_librarys_exception_is_not_logged(form: str) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.set_up("INFO", form)
        try:
            raise ValueError("canary")
        except ValueError as error:
            cause = RuntimeError("a message of the worker")
            cause.__cause__ = error
            line = root.handlers[0].format(record(cause))
    finally:
        root.handlers[:], root.level = handlers, level
    assert "canary" not in line
    assert "a message of the worker" in line
    assert "/contacts" in line
    assert "ValueError" in line
