"""The body of a request: read within limits, parsed once, checked against a type."""

from collections.abc import MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope

from send_whatsapp.contract.validation import problems
from send_whatsapp.gateway.problems import CLIENT_GONE, Problem, invalid_fields
from send_whatsapp.gateway.strict_json import InvalidJSON, parse_json

MAX_BODY_BYTES = 64 * 1024

Model = TypeVar("Model", bound=BaseModel)


def has_body(scope: Scope) -> bool:
    """Return whether a body follows the headers."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
        for name, value in scope["headers"]
    )


async def read_body(
    scope: Scope, receive: Receive, deadline: AbstractAsyncContextManager[object]
) -> bytes:
    """Return the whole body.

    `deadline` raises TimeoutError when the body takes too long. Raises Problem for this, and for a
    body that is too large.
    """
    too_large = Problem(413, f"The body is larger than {MAX_BODY_BYTES // 1024} KB")
    for name, value in scope["headers"]:
        if name == b"content-length" and (len(value) > 9 or int(value) > MAX_BODY_BYTES):
            raise too_large
    body = bytearray()
    try:
        async with deadline:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(CLIENT_GONE, "The connection was closed")
                body += message.get("body", b"")
                if len(body) > MAX_BODY_BYTES:
                    raise too_large
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise Problem(408, "The body did not arrive in time") from None


def replay(body: bytes, receive: Receive) -> Receive:
    """Return an ASGI `receive` that gives the body that was read, then what `receive` gives."""
    replayed = False

    async def receive_again() -> MutableMapping[str, Any]:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


async def json_body(request: Request) -> Any:
    """Return the JSON value of the body.

    Raises Problem: 415 if the body is not declared as JSON, 400 if it is not strict JSON.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(415, "The Content-Type must be application/json")
    try:
        return parse_json(await request.body())
    except InvalidJSON as error:
        raise Problem(400, f"The body {error}") from None


async def typed_body(request: Request, model: type[Model]) -> Model:
    """Return the body as a `model`. Raises Problem as `json_body`, and 422 for invalid fields."""
    value = await json_body(request)
    try:
        # `by_name=False` because JSON has only the camelCase spelling of each field.
        return model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        raise invalid_fields("The request is invalid", problems(error)) from None
