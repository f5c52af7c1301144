"""What an upload says in its path and query: the batch without its rows."""

import re
from typing import Any
from urllib.parse import parse_qsl

from pydantic import ValidationError
from starlette.types import Scope

from send_whatsapp.contract.batch_body import BatchOptions
from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.contract.validation import problems
from send_whatsapp.gateway.problems import Problem, invalid_fields

_PATH = re.compile(r"/v1/batches/(?P<key>.+)/rows", re.DOTALL)
_OBJECTS = ("variables", "sendWindow")
"""Fields of the JSON body that are objects: each of their fields is a parameter of its own."""

_NUMBERS = ("perMinute", "pauseAfter")
_FLAGS = ("inOrder", "ignoreOptOut", "resendUnknown")
_YES_OR_NO = {"true": True, "false": False}
_MAX_PARAMETERS = 200


def is_upload(scope: Scope) -> bool:
    """Return whether a request uploads the rows of a batch."""
    return scope["method"] == "POST" and _PATH.fullmatch(scope["path"]) is not None


def options_of(scope: Scope) -> BatchOptions:
    """Return the options of an upload: those of the JSON body.

    A field of an object has its path as its name, for example `variables.NAME=...`.

    Raises Problem (422) that names the parameters that are wrong.
    """
    found = _PATH.fullmatch(scope["path"])
    assert found
    fields: dict[str, Any] = {"key": found["key"]}
    for name, value in _parameters(scope):
        target = fields
        parent, dot, field = name.partition(".")
        if dot and parent in _OBJECTS:
            target, name = fields.setdefault(parent, {}), field
        elif name in _NUMBERS and re.fullmatch(r"-?[0-9]{1,12}", value, re.ASCII):
            fields.setdefault(name, int(value))
            continue
        elif name in _FLAGS:
            fields.setdefault(name, _YES_OR_NO.get(value, value))
            continue
        target.setdefault(name, value)
    try:
        return BatchOptions.model_validate(fields, by_alias=True, by_name=False)
    except ValidationError as error:
        raise invalid_fields("A parameter of the upload is invalid", problems(error)) from None


def _parameters(scope: Scope) -> list[tuple[str, str]]:
    try:
        parameters = parse_qsl(
            scope["query_string"].decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )
    except ValueError:
        raise Problem(
            422,
            f"The query must be percent-encoded UTF-8 with at most {_MAX_PARAMETERS} parameters",
        ) from None
    names = [name for name, _ in parameters]
    twice = [
        FieldProblem(
            field=name if name.isprintable() else "?",
            problem="is given twice",
            expected="one value",
        )
        for name in dict.fromkeys(names)
        if names.count(name) > 1 or name in ("key", "rows", *_OBJECTS)
    ]
    if twice:
        raise invalid_fields("A parameter of the upload is invalid", twice)
    return parameters
