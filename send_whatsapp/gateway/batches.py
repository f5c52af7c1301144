"""The routes of batches: start one, read its status and report, pause, resume and cancel it."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from temporalio.client import Client

from send_whatsapp.client import batches
from send_whatsapp.client.errors import KeyConflict, KeyInUse, NotFound
from send_whatsapp.client.links import ui_link
from send_whatsapp.contract.batch_body import BatchBody, BatchOptions
from send_whatsapp.contract.names import InvalidKey, batch_id
from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.access import Caller
from send_whatsapp.gateway.audit import log_command
from send_whatsapp.gateway.batch_rows import rows_of
from send_whatsapp.gateway.body import typed_body
from send_whatsapp.gateway.disconnect import while_connected
from send_whatsapp.gateway.openapi import operations
from send_whatsapp.gateway.openapi.parameters import BatchKey
from send_whatsapp.gateway.places import Slots
from send_whatsapp.gateway.problems import Problem, key_in_use
from send_whatsapp.gateway.report import Report
from send_whatsapp.gateway.upload.reading import Upload
from send_whatsapp.settings import GatewaySettings
from send_whatsapp.temporal.connection import rpc

MAX_REPORTS_READ = 4
MAX_REPORTS_READ_PER_CALLER = 2
"""Reports that are read from Temporal at once; others wait. Sending them is not limited."""


class BatchRoutes:
    """The routes under /v1/batches."""

    def __init__(self, client: Client, settings: GatewaySettings) -> None:
        self._client = client
        self._settings = settings
        self._reports = Slots(MAX_REPORTS_READ, MAX_REPORTS_READ_PER_CALLER)

    def add_to(self, app: FastAPI) -> None:
        """Serve the routes; the longer paths first, because a key may contain slashes."""
        path = "/v1/batches/{key:path}"
        app.post("/v1/batches", **operations.POST_BATCH)(self.post)
        app.post(f"{path}/rows", **operations.UPLOAD_ROWS)(self.upload)
        app.get(f"{path}/report", **operations.GET_BATCH_REPORT)(self.report)
        app.post(f"{path}/pause", **operations.PAUSE_BATCH)(self.pause)
        app.post(f"{path}/resume", **operations.RESUME_BATCH)(self.resume)
        app.post(f"{path}/cancel", **operations.CANCEL_BATCH)(self.cancel)
        app.get(path, **operations.GET_BATCH)(self.get)

    async def post(self, request: Request) -> Response:
        """Start a batch, or send what an earlier batch with this key has not sent."""
        body = await typed_body(request, BatchBody)
        rows = rows_of(body, self._settings.default_region)
        for row in rows:
            request.state.access.check_content(row.request)
        return await self._start(request, body, rows, time_limits.BATCH_START_S)

    async def upload(self, request: Request, key: BatchKey) -> Response:
        """Start a batch with rows that may be many; nothing is started before all have arrived."""
        upload: Upload = request.state.upload
        return await self._start(request, upload.options, upload.rows, None)

    async def _start(
        self,
        request: Request,
        options: BatchOptions,
        rows: batches.AnyRows,
        within_s: float | None,
    ) -> Response:
        caller: Caller = request.state.access
        limits = batches.BatchLimits(
            per_minute=options.per_minute,
            pause_after=options.pause_after,
            send_at=options.send_at,
        )
        with _batch_problems():
            async with rpc(self._client, within_s):
                state = await batches.start(
                    self._client,
                    options.key,
                    rows,
                    [],
                    resend_unknown=options.resend_unknown,
                    limits=limits,
                    task_queue=self._settings.task_queue,
                    origin=caller.origin,
                )
                found = await batches.find(self._client, options.key)
        log_command("batch start", caller.name, found.run_id)
        running = state.counts.running > 0
        response = self._batch(batches.BatchStatus.of(state, running=running), status=202)
        response.headers["Location"] = _path(options.key)
        return response

    async def get(self, request: Request, key: BatchKey) -> Response:
        """Return how many rows have which outcome."""
        with _batch_problems():
            await while_connected(request, self._visible_run(request, key))
            status = await while_connected(request, batches.get_status(self._client, key))
        return self._batch(status)

    async def report(self, request: Request, key: BatchKey) -> Response:
        """Return the outcome of each row, in the order of the rows.

        It is read completely before the first byte goes out, so that an error is a 503 and never a
        report without its end.
        """
        with _batch_problems():
            await while_connected(request, self._visible_run(request, key))
            report = await while_connected(request, self._read_report(request.state.caller, key))
        return StreamingResponse(report.as_json(key), media_type="application/json")

    async def _read_report(self, caller: str, key: str) -> Report:
        report = Report()
        async with self._reports.slot(caller):
            async for rows in batches.outcomes_by_part(self._client, key):
                report.add(rows)
        return report

    async def pause(self, request: Request, key: BatchKey) -> Response:
        """Start no further row; rows in flight end."""
        with _batch_problems():
            run_id = await self._visible_run(request, key)
            state = await batches.pause(self._client, key)
        log_command("batch pause", request.state.caller, run_id)
        return self._batch(batches.BatchStatus.of(state, running=True))

    async def resume(self, request: Request, key: BatchKey) -> Response:
        """Continue a paused batch."""
        with _batch_problems():
            run_id = await self._visible_run(request, key)
            state = await batches.resume(self._client, key)
        log_command("batch resume", request.state.caller, run_id)
        return self._batch(batches.BatchStatus.of(state, running=True))

    async def cancel(self, request: Request, key: BatchKey) -> Response:
        """Cancel: 202, because rows in flight end first; the counts then show how they ended."""
        with _batch_problems():
            run_id = await self._visible_run(request, key)
            state = await batches.cancel(self._client, key)
        log_command("batch cancel", request.state.caller, run_id)
        return self._batch(batches.BatchStatus.of(state, running=True), status=202)

    async def _visible_run(self, request: Request, key: str) -> str:
        """Return the run id of a batch. Raises NotFound for one that the caller does not see."""
        found = await batches.find(self._client, key)
        caller: Caller = request.state.access
        caller.check_sees(found.caller)
        return found.run_id

    def _batch(self, state: batches.BatchStatus, *, status: int = 200) -> JSONResponse:
        body = {
            "key": state.key,
            "status": "running" if state.running else state.counts.outcome,
            **state.counts.model_dump(),
            "total": state.counts.total,
            "paused": state.paused,
            "pauseReason": state.pause_reason,
            **batches.timing(state),
            "statusUrl": _path(state.key),
            "uiUrl": ui_link(self._settings.ui_url, self._client.namespace, batch_id(state.key)),
        }
        return JSONResponse(body, status)


@contextmanager
def _batch_problems() -> Iterator[None]:
    """Turn the client's errors about a batch into problem details."""
    try:
        yield
    except (NotFound, InvalidKey):
        raise Problem(404, "No batch has this key") from None
    except KeyInUse:
        raise key_in_use() from None
    except KeyConflict as error:
        raise Problem(409, str(error)) from None


def _path(key: str) -> str:
    return f"/v1/batches/{quote(key, safe='')}"
