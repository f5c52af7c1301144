"""The log of a worker process: one grep for the id of a run shows its whole story."""

import asyncio
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from send_whatsapp.client.state import get_state
from send_whatsapp.contract.names import SEND_WORKFLOW
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import new_phone
from tests.telemetry.conftest import WorkerProcess, environment
from tools.dev_server import DevServer

CONTEXT = {"workflow_id", "run_id", "correlation_id"}


def grep(worker: WorkerProcess, text: str) -> list[dict[str, Any]]:
    return [line for line in worker.lines() if text in str(line)]


async def test_one_grep_follows_a_send_from_its_start_to_its_end(
    worker: WorkerProcess, provider: Simulator
) -> None:
    await provider.faults(Fault(route="send_text", status=503, times=1))
    state = await worker.send(message="x")
    lines = grep(worker, state.run_id)
    assert [line["message"] for line in lines] == [
        "send begins",
        *["provider call"] * 4,
        "Completing activity as failed",
        "provider call",
        "send ended",
    ]
    assert all(line["workflow_id"] == state.id for line in lines)
    assert all(line["run_id"] == line["correlation_id"] == state.run_id for line in lines)
    sent = [line for line in lines if line.get("route") == "/contacts/{contact_id}/send/text"]
    attempts = [(s["activity"], s["activity_id"], s["attempt"], s["status"]) for s in sent]
    assert attempts == [("send_text", "send", 1, "503"), ("send_text", "send", 2, "200")]
    assert "HTTP 503" in str(lines[5]["exception"])
    assert (lines[-1]["kind"], lines[-1]["outcome"]) == ("text", "accepted")
    # The provider gets the same id with each call.
    requests = await provider.requests("send_text")
    assert {r["headers"]["x-correlation-id"] for r in requests} == {state.run_id}


@pytest.mark.parametrize(
    ("argument", "error_type"),
    [
        ({"to": "call me", "message": "x"}, "InvalidPhoneNumber"),
        ({"to": "+4915550000000", "template": "nothing"}, "TemplateNotFound"),
        ({"to": "+4915550000000"}, "InvalidRequest"),
        ("no object", "InvalidRequest"),
    ],
)
async def test_the_log_says_why_a_run_ended_without_a_send(
    worker: WorkerProcess, provider: Simulator, argument: object, error_type: str
) -> None:
    handle = await worker.client.start_workflow(
        SEND_WORKFLOW, argument, id=f"log-{uuid.uuid4()}", task_queue=worker.task_queue
    )
    await get_state(worker.client, handle.id, wait=True)
    ended = grep(worker, handle.id)[-1]
    assert ended.keys() >= CONTEXT
    assert (ended["message"], ended["outcome"]) == ("send ended", "failed")
    assert ended["error_type"] == error_type


async def test_the_log_of_a_batch_names_the_number_of_the_row(
    server: DevServer, worker: WorkerProcess, provider: Simulator, tmp_path: Path
) -> None:
    people, key = tmp_path / "people.csv", f"log-{uuid.uuid4()}"
    people.write_text(f"to,message\n{new_phone()},x\n{new_phone()},x\n")
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("send-whatsapp")), "batch", "send", str(people)),
        *("--key", key),
        env=environment(server, TEMPORAL_TASK_QUEUE=worker.task_queue),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0
    lines = [line for line in grep(worker, key) if line.get("workflow_id")]
    calls = [line for line in lines if line["message"] == "provider call"]
    assert {line["row"] for line in calls} == {2, 3}
    assert {line["row"] for line in lines if line["message"] == "send ended"} == {2, 3}


async def test_no_replay_logs_a_run_twice(worker: WorkerProcess, provider: Simulator) -> None:
    state = await worker.send(message="x")
    before = len(grep(worker, state.run_id))
    handle = worker.client.get_workflow_handle(state.id)
    assert "accepted" in str(await handle.query("__temporal_workflow_metadata"))
    assert len(grep(worker, state.run_id)) == before
