"""Finds placeholders that nobody fills: a text is sent as it is written."""

import re
from collections.abc import Iterable
from typing import Any, Final

from send_whatsapp.client.recipients.columns import simplified
from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.contract.fields import FALLBACK_VARIABLE

_PLACEHOLDER: Final = re.compile(r"\{\{?([^{}]{1,200})\}")


def placeholder(text: str, names: Iterable[str]) -> str | None:
    """Return the first of these names that the text has in braces, as `{name}` or `{{name}}`."""
    by_simple_name = {simplified(name): name for name in names if name}
    for found in _PLACEHOLDER.finditer(text):
        if name := by_simple_name.get(simplified(found[1])):
            return name
    return None


def unfilled_placeholders(fields: dict[str, Any], names: Iterable[str]) -> list[FieldProblem]:
    """Return a problem for each text of a request with a placeholder for one of these columns.

    `fields` are those of a request, in JSON. Neither a message nor a fallback text is filled in,
    so the person would read `{name}`.
    """
    variables = fields.get("variables")
    fallback = variables.get(FALLBACK_VARIABLE) if isinstance(variables, dict) else None
    texts = {"message": fields.get("message"), f"variables.{FALLBACK_VARIABLE}": fallback}
    return [
        FieldProblem(
            field=field,
            problem=f"contains {{{name}}}, which is not replaced and would be sent as it stands",
            expected="the whole text in a column `message`, or a template with variables",
        )
        for field, text in texts.items()
        if isinstance(text, str) and (name := placeholder(text, names))
    ]
