"""Logs: JSON lines, or text in a terminal, without personal data."""

import json
import logging
import re
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from temporalio import activity, workflow
from temporalio.exceptions import TemporalError

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_FREE_TEXT = ("failure", "error", "message")
"""Fields of the SDK's core that may quote anything; long numbers are removed from them."""
_NUMBER = re.compile(r"\+?\d(?:[\s().-]{0,3}\d){6,}")
_CONTEXT = ("workflow_id", "run_id", "activity", "activity_id", "attempt", "row", "correlation_id")
_QUIET = ("httpx", "httpcore", "uvicorn.access", "asyncio", "hpack", "urllib3")


Fields = dict[str, Any]


def set_up(level: str, form: str, context: Callable[[], Fields] = dict) -> None:
    """Log to standard error, from `level` up.

    `form` is `json`, `text` or `auto` (text in a terminal, otherwise JSON). `context` returns more
    fields for a line. Libraries that log URLs or headers never log below WARNING.
    """
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_TextFormatter() if as_text else _JSONFormatter())
    handler.addFilter(_adding(context))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # The SDK appends its context to each message; our formatters write it as fields.
    activity.logger.activity_info_on_message = False
    workflow.logger.workflow_info_on_message = False
    logging.getLogger("temporalio").setLevel(max(logging.INFO, logging.getLevelName(level)))


def _adding(context: Callable[[], Fields]) -> Callable[[logging.LogRecord], bool]:
    def add(record: logging.LogRecord) -> bool:
        vars(record).update(context())
        return True

    return add


def _context() -> dict[str, Any]:
    """Return the current run and attempt as fields; empty outside of activities and workflows."""
    if activity.in_activity():
        info = activity.info()
        return {
            "workflow_id": info.workflow_id,
            "run_id": info.workflow_run_id,
            "activity": info.activity_type,
            "activity_id": info.activity_id,
            "attempt": info.attempt,
            "correlation_id": info.workflow_run_id,
        }
    if workflow.in_workflow():
        run = workflow.info()
        return {
            "workflow_id": run.workflow_id,
            "run_id": run.run_id,
            "correlation_id": run.run_id,
        }
    return {}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of a record, its context first, without the objects that the SDK adds."""
    extra = {
        name: value
        for name, value in vars(record).items()
        if name not in _STANDARD
        and not name.startswith("_")
        and isinstance(value, str | int | float | bool)
    }
    fields = _context() | _core_fields(record) | extra
    return {name: fields.pop(name) for name in _CONTEXT if name in fields} | fields


def _core_fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of a record from the SDK's core, such as the run id and the error."""
    core = getattr(record, "temporal_log", None)
    fields = {
        name: value
        for name, value in (core.fields if core else {}).items()
        if isinstance(value, str | int | float | bool)
    }
    return fields | {
        name: _NUMBER.sub("…", str(fields[name])) for name in _FREE_TEXT if name in fields
    }


class _JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info and record.exc_info[1]:
            line["exception"] = _exception_lines(record.exc_info[1])
        return _escape(json.dumps(line, ensure_ascii=False, default=str))


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        line = _one_line(f"{time} {record.levelname:<7} {record.getMessage()}  {fields}")
        if record.exc_info and record.exc_info[1]:
            line += "".join(
                f"\n  {_one_line(text)}" for text in _exception_lines(record.exc_info[1])
            )
        return line


def _one_line(text: str) -> str:
    # A line break in a workflow id must not look like another log line.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text.rstrip())


def _escape(line: str) -> str:
    # JSON allows some line breaks and control characters in a string, such as U+0085 and U+2028.
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


def _exception_lines(error: BaseException | None) -> list[str]:
    """Return a line for an exception and for each of its causes: the type and where it was raised.

    Only failures of the SDK and our own keep their message. The message of any other library may
    contain a URL, a phone number or a text.
    """
    lines: list[str] = []
    while error is not None and len(lines) < 10:
        frames = traceback.extract_tb(error.__traceback__)
        places = " < ".join(f"{f.name}:{f.lineno}" for f in reversed(frames[-4:]))
        message = f": {error}" if isinstance(error, TemporalError | RuntimeError) else ""
        lines.append(f"{type(error).__name__}{message} at {places or 'an unknown place'}")
        error = error.__cause__ or error.__context__
    return lines
