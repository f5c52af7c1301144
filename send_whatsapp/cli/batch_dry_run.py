"""What `batch send --dry-run` prints: the use of each column, and the first rows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from send_whatsapp.cli.dry_run import Templates, nothing_to_send, preview
from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.cli.send_times import SendTime, summary
from send_whatsapp.client.recipients.cells import printable
from send_whatsapp.client.recipients.columns import ROW_FIELDS, VARIABLES
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.errors import ErrorType
from send_whatsapp.contract.fields import FALLBACK_VARIABLE

_ROWS: Final = 3
_MAX_TEXT: Final = 80
_SHOWN: Final = ("kind", "flow", "flowFoundBy", "flowNote", "fallbackReason", "preview")


def show_dry_run(
    output: Output,
    columns: Mapping[str, str],
    rows: list[Row],
    wrong_rows: int,
    templates: Templates,
    send_at: datetime | None = None,
) -> None:
    """Print how many rows can be sent, what each column becomes, and the first rows.

    `columns` are the names in the file and in a row, `send_at` is the start of the batch, if it
    starts later. Ends the process with code 2 if a row has neither a flow nor a fallback text.
    """
    uses = _uses(columns, rows)
    names = dict.fromkeys(row.request.template for row in rows if row.request.template)
    lookups = templates.lookups(names, output)

    def shown_as(row: Row) -> dict[str, Any]:
        shown = preview(row.request, lookups, templates.catalogue)
        return {name: value for name, value in shown.items() if name in _SHOWN}

    if empty := [row for row in rows if nothing_to_send(row.request, lookups)]:
        output.fail(
            Exit.INVALID,
            f"{len(empty):,} rows, the first one in line {empty[0].row}, have nothing to send"
            f" ({shown_as(empty[0])['fallbackReason']}): create or rename the flow, map the"
            " template with CGB_TEMPLATE_<NAME>, or give a fallback text",
            error_type=ErrorType.TEMPLATE_NOT_FOUND,
        )
    shown = rows[:_ROWS]
    send_times, times_summary = summary(SendTime(row.request, send_at) for row in rows)
    value = {
        "rows": len(rows),
        "wrong": wrong_rows,
        "columns": uses,
        "sendTimes": send_times,
        "preview": [
            {"row": row.row, "key": row.key, **shown_as(row), **_request(row)} for row in shown
        ],
    }
    lines = [f"{len(rows):,} rows can be sent, {wrong_rows:,} cannot"]
    lines += times_summary
    used = [f"{name} -> {use}" if name != use else name for name, use in uses.items() if use]
    lines.append(f"Columns used: {', '.join(used)}")
    if unused := [name for name, use in uses.items() if not use]:
        lines.append(f"Columns not used: {', '.join(unused)}")
    for name, lookup in lookups.items():
        lines.append(f"Template {name}: {lookup.summary}")
    for row in shown:
        lines.append(f"line {row.row}: {_summary(row)}")
        if text := shown_as(row).get("preview"):
            lines.append(f"  preview: {text}")
    if len(rows) > len(shown):
        lines.append(f"and {len(rows) - len(shown):,} more")
    output.result(value, "\n".join(map(printable, lines)))


def _uses(columns: Mapping[str, str], rows: list[Row]) -> dict[str, str | None]:
    """Return what each column of the file becomes; None if no row uses it."""
    variables = {name for row in rows for name in row.request.variables or {}}
    uses: dict[str, str | None] = {}
    for name, field in columns.items():
        if field in (*ROW_FIELDS, VARIABLES):
            uses[name] = field
        elif field in (FALLBACK_VARIABLE, *variables):
            uses[name] = f"{VARIABLES}.{field}"
        else:
            uses[name] = None
    return uses


def _request(row: Row) -> dict[str, Any]:
    fields: dict[str, Any] = row.request.model_dump(
        mode="json", by_alias=True, exclude_defaults=True
    )
    return fields


def _summary(row: Row) -> str:
    """Return number and content of a row on one line."""
    request = row.request
    parts = [request.to]
    if request.template:
        parts.append(f"template {request.template}")
    parts += [f"{name}={value}" for name, value in request.template_variables.items()]
    if request.fallback_text:
        parts.append(f"fallback {_short(request.fallback_text)}")
    elif request.message:
        parts.append(_short(request.message))
    if request.file_url:
        parts.append(f"{request.file_type} {request.file_url}")
    return ", ".join(parts)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f'"{line}"' if len(line) <= _MAX_TEXT else f'"{line[:_MAX_TEXT]}..."'
