"""Logs: one JSON line each, or a readable form in a terminal, without anybody's data."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

from temporalio import activity, workflow
from temporalio.exceptions import TemporalError

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CONTEXT = ("workflow_id", "run_id", "activity", "activity_id", "attempt", "correlation_id")
_QUIET = ("httpx", "httpcore", "uvicorn.access", "asyncio", "hpack", "urllib3")


def set_up(level: str, form: str) -> None:
    """Send all logs of this process to standard error, from `level` up.

    `form` is `json`, `text` or `auto` (text in a terminal). httpx and httpcore log full URLs at
    INFO and headers at DEBUG: they stay at WARNING whatever the level.
    """
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_TextFormatter() if as_text else _JSONFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # The SDK appends its context to each message; ours stands in fields.
    activity.logger.activity_info_on_message = False
    workflow.logger.workflow_info_on_message = False
    logging.getLogger("temporalio").setLevel(max(logging.INFO, logging.getLevelName(level)))


def context() -> dict[str, Any]:
    """Return which run and attempt this code serves; nothing outside an activity or workflow."""
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
    """Return what a record says, its context first; what the SDK adds for itself is left out."""
    extra = {
        name: value
        for name, value in vars(record).items()
        if name not in _STANDARD
        and not name.startswith("_")
        and isinstance(value, str | int | float | bool)
    }
    found = context() | extra
    return {name: found.pop(name) for name in _CONTEXT if name in found} | found


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
            line["exception"] = chain(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False, default=str)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        line = f"{time} {record.levelname:<7} {record.getMessage()}  {fields}".rstrip()
        if record.exc_info and record.exc_info[1]:
            line += "\n" + "\n".join(chain(record.exc_info[1]))
        return line


def chain(error: BaseException | None) -> list[str]:
    """Return an exception and its causes, each as its type and the place it was raised.

    Only the SDK's and our own failures keep their message, since any other library may put a URL,
    a number or a text into one.
    """
    lines: list[str] = []
    while error is not None and len(lines) < 10:
        frames = traceback.extract_tb(error.__traceback__)
        places = " < ".join(f"{f.name}:{f.lineno}" for f in reversed(frames[-4:]))
        said = f": {error}" if isinstance(error, TemporalError | RuntimeError) else ""
        lines.append(f"{type(error).__name__}{said} at {places or 'an unknown place'}")
        error = error.__cause__ or error.__context__
    return lines
