"""Batches over HTTP: begin one, ask how it stands, read its report, pause, resume and cancel it."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, ValidationError
from temporalio.client import Client

from send_whatsapp.client import batches
from send_whatsapp.client.errors import KeyConflict, NotFound
from send_whatsapp.client.links import ui_link
from send_whatsapp.client.recipients.rows import Duplicates, each_person_once, rows_of
from send_whatsapp.contract.batch import BatchState, PerMinute
from send_whatsapp.contract.fields import Delivery, FileType, Time, Variables
from send_whatsapp.contract.names import InvalidKey, batch_id
from send_whatsapp.contract.request import Request as Body
from send_whatsapp.contract.validation import problems
from send_whatsapp.gateway import openapi
from send_whatsapp.gateway.middleware import Problem, json_body, refused
from send_whatsapp.settings import GatewaySettings
from send_whatsapp.temporal.connection import TemporalUnavailable

T = TypeVar("T")

ANSWERED_WITHIN_S = 9.5


class Content(Body):
    """What all rows share, or what one row has of its own; the contract checks each row whole."""

    message: str | None = None
    template: str | None = None
    variables: Variables | None = None
    file_url: str | None = None
    file_type: FileType | None = None


class Recipient(Content):
    """One row: a number, where wanted a key of its own, and what differs from the others."""

    to: str
    key: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class NewBatch(Content):
    """A batch: its key, the common content, the rows, and how fast it goes."""

    key: str
    rows: Annotated[list[Recipient], Field(min_length=1)]
    delivery: Delivery = "at_least_once"
    expires_at: Time | None = None
    per_minute: PerMinute | None = None
    pause_after: Annotated[int, Field(ge=1)] = 20
    resend_unknown: bool = False


def _schema() -> dict[str, Any]:
    """Return the body's JSON Schema in one piece, as OpenAPI wants it."""
    schema = NewBatch.model_json_schema(by_alias=True)
    schema["properties"]["rows"]["items"] = schema.pop("$defs")["Recipient"]
    return schema


_POST: dict[str, Any] = {
    "status_code": 202,
    "dependencies": openapi.WITH_TOKEN,
    "summary": "Begin a batch, or go on with it",
    "responses": openapi.problem_responses(400, 401, 408, 409, 413, 415, 422, 429, 431, 503),
    "openapi_extra": {
        "requestBody": {"required": True, "content": {"application/json": {"schema": _schema()}}}
    },
}


class BatchRoutes:
    """The routes of batches, and what they share: a Temporal client and the settings."""

    def __init__(self, client: Client, settings: GatewaySettings) -> None:
        """Start batches with this client."""
        self._client = client
        self._settings = settings
        self._region = settings.default_region

    def add_to(self, app: FastAPI) -> None:
        """Serve the routes, the longer paths first since a key may hold slashes."""
        path = "/v1/batches/{key:path}"
        told: dict[str, Any] = {
            "dependencies": openapi.WITH_TOKEN,
            "responses": openapi.problem_responses(401, 404, 409, 429, 503),
        }
        app.post("/v1/batches", **_POST)(self.post)
        app.get(f"{path}/report", summary="Read how each row ended", **told)(self.report)
        app.post(f"{path}/pause", summary="Begin no further row", **told)(self.pause)
        app.post(f"{path}/resume", summary="Go on where it was paused", **told)(self.resume)
        app.post(f"{path}/cancel", summary="Ask for the end", status_code=202, **told)(self.cancel)
        app.get(path, summary="Ask how a batch stands", **told)(self.get)

    async def post(self, request: Request) -> Response:
        """Begin a batch, or go on with what the key has not sent: 202 with how it stands."""
        try:
            asked = NewBatch.model_validate_json(json.dumps(await json_body(request)))
            batch_id(asked.key)
        except ValidationError as error:
            raise refused("The request is wrong", problems(error)) from None
        except InvalidKey as error:
            raise Problem(422, "The request is wrong", errors=[_error("key", str(error))]) from None
        rows = self._rows(asked)
        pace = batches.BatchLimits(per_minute=asked.per_minute, pause_after=asked.pause_after)
        try:
            async with asyncio.timeout(ANSWERED_WITHIN_S):
                state = await batches.start(
                    self._client,
                    asked.key,
                    rows,
                    [],
                    resend_unknown=asked.resend_unknown,
                    limits=pace,
                    task_queue=self._settings.task_queue,
                )
        except KeyConflict as error:
            raise Problem(409, str(error)) from None
        except TimeoutError:
            raise TemporalUnavailable("Temporal does not answer in time") from None
        answer = self._answer(state, running=state.counts.running > 0, status=202)
        answer.headers["Location"] = _path(asked.key)
        return answer

    async def get(self, key: str) -> Response:
        """Return how a batch stands: its rows by outcome."""
        status = await self._found(batches.get_status(self._client, key))
        return self._answer(status, running=status.running)

    async def report(self, key: str) -> Response:
        """Return a line for each row, in the order they were given in."""
        rows = await self._found(batches.outcomes(self._client, key))
        return JSONResponse({"key": key, "rows": [batches.report_row(row) for row in rows]})

    async def pause(self, key: str) -> Response:
        """Begin no further row."""
        return self._answer(await self._found(batches.pause(self._client, key)), running=True)

    async def resume(self, key: str) -> Response:
        """Go on where it was paused."""
        return self._answer(await self._found(batches.resume(self._client, key)), running=True)

    async def cancel(self, key: str) -> Response:
        """Ask for the end: 202, since what is in flight ends first; the counts tell the truth."""
        state = await self._found(batches.cancel(self._client, key))
        return self._answer(state, running=True, status=202)

    async def _found(self, call: Awaitable[T]) -> T:
        """Return what a call for a batch returns; raise the problem that its error is."""
        try:
            return await call
        except (NotFound, InvalidKey):
            raise Problem(404, "No batch has this key") from None
        except KeyConflict as error:
            raise Problem(409, str(error)) from None

    def _rows(self, asked: NewBatch) -> list[Any]:
        common = asked.model_dump(
            mode="json",
            by_alias=True,
            include={*Content.model_fields, "delivery", "expires_at"},
            exclude_none=True,
        )
        cells = [
            (number, _cells(recipient.model_dump(mode="json", by_alias=True, exclude_none=True)))
            for number, recipient in enumerate(asked.rows, 1)
        ]
        good, bad = rows_of(cells, common, asked.key, self._region)
        good, clashes = each_person_once(good, asked.key, self._region, Duplicates.REFUSE)
        errors = [_error(f"rows.{wrong.row - 1}", wrong.why) for wrong in bad] + [
            _error(f"rows.{later - 1}.to", f"is for the same person or key as rows.{first - 1}")
            for first, later in clashes
        ]
        if errors:
            raise Problem(422, "Nothing was sent, rows are wrong", errors=errors[:100])
        return good

    def _answer(self, state: BatchState, *, running: bool, status: int = 200) -> JSONResponse:
        id_ = batch_id(state.key)
        body = {
            "key": state.key,
            "status": "running" if running else state.counts.outcome,
            **state.counts.model_dump(),
            "total": state.counts.total,
            "paused": state.paused,
            "pauseReason": state.pause_reason,
            "statusUrl": _path(state.key),
            "uiUrl": ui_link(self._settings.ui_url, self._client.namespace, id_),
        }
        return JSONResponse(body, status)


def _cells(recipient: dict[str, Any]) -> dict[str, Any]:
    """Return a row as a file would give it: its variables beside its other columns."""
    return (recipient.pop("variables", None) or {}) | recipient


def _error(field: str, problem: str) -> dict[str, str]:
    return {"field": field, "problem": problem, "expected": "what the contract says"}


def _path(key: str) -> str:
    return f"/v1/batches/{quote(key, safe='')}"
