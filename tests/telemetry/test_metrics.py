"""Metrics of a worker process: each run and each call counts once, and labels stay bounded."""

import asyncio
import re
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import WorkflowFailureError

from send_whatsapp.contract.names import SEND_WORKFLOW
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import cancel, new_phone, until
from tests.telemetry.conftest import WorkerProcess, WorkerProcessOf, environment
from tools.dev_server import DevServer

SEND_WHATSAPP = Path(sys.executable).with_name("send-whatsapp")
SENDS = "send_whatsapp_sends_total"
CALLS = "send_whatsapp_provider_call_duration_seconds_count"
WAITS = "send_whatsapp_rate_limit_waits_total"
CACHE = "send_whatsapp_cache_lookups_total"
TO_ACCEPTED = "send_whatsapp_time_to_accepted_seconds"

WAITING = {"retry-after": "0"}
SEND_TEXT = "POST /contacts/{contact_id}/send/text"


async def start_raw(worker: WorkerProcess, argument: object) -> None:
    handle = await worker.client.start_workflow(
        SEND_WORKFLOW, argument, id=f"raw-{uuid.uuid4()}", task_queue=worker.task_queue
    )
    with pytest.raises(WorkflowFailureError):
        await handle.result()


async def test_each_run_counts_once_when_it_ends(
    worker: WorkerProcess, provider: Simulator
) -> None:
    before = await worker.metrics()
    await worker.send(message="x")
    await worker.send(template="visa_approved")
    await worker.send(template="nothing", message="x")
    await worker.send(fileUrl="https://example.com/a.png", fileType="image")
    await worker.send(template="nothing")
    await worker.send(message="x", to="call me")
    await worker.send(message="x", expiresAt="2020-01-01T00:00:00Z")
    await start_raw(worker, {"to": "+1234567890"})
    await start_raw(worker, None)
    await start_raw(worker, "text")
    # Two attempts, one run.
    await provider.faults(Fault(route="send_text", status=503, times=1))
    await worker.send(message="x")
    await provider.faults(Fault(route="send_text", status=400))
    await worker.send(message="x")
    await provider.faults(Fault(route="send_text", kind="cut", effect=True))
    await worker.send(message="x", delivery="at_most_once")
    await provider.faults(Fault(route="find_contact", status=503))
    started = await worker.start(message="x")
    await until(lambda: provider.requests("find_contact"))
    await cancel(worker.client, started.id)
    found = (await worker.metrics()).since(before)
    assert found.by(SENDS, "kind", "outcome", "error_type") == {
        ("text", "accepted", ""): 3,
        ("template", "accepted", ""): 1,
        ("media", "accepted", ""): 1,
        ("template", "failed", "TemplateNotFound"): 1,
        ("text", "failed", "InvalidPhoneNumber"): 1,
        ("text", "failed", "Expired"): 1,
        ("", "failed", "InvalidRequest"): 3,
        ("text", "failed", "ProviderRejected"): 1,
        ("text", "unknown", "DeliveryUnknown"): 1,
        ("text", "cancelled", ""): 1,
    }
    assert found.by(f"{TO_ACCEPTED}_count", "kind") == {
        ("text",): 3,
        ("template",): 1,
        ("media",): 1,
    }
    assert found.sum(f"{TO_ACCEPTED}_bucket", kind="template", le="5") == 1
    # The run with a retry took its second.
    assert found.sum(f"{TO_ACCEPTED}_sum", kind="text") > 1


async def test_a_replay_does_not_count(
    worker_process: WorkerProcessOf, provider: Simulator
) -> None:
    async with worker_process() as first:
        states = [await first.send(message="x"), await first.send(template="nothing")]
    async with worker_process(TEMPORAL_TASK_QUEUE=first.task_queue) as second:
        for state in states:
            # A query of a closed run replays the whole run.
            handle = second.client.get_workflow_handle(state.id)
            assert state.outcome in str(await handle.query("__temporal_workflow_metadata"))
        found = await second.metrics()
    assert not found.by(SENDS, "outcome")
    assert not found.by(f"{TO_ACCEPTED}_count", "kind")


async def test_the_time_of_a_scheduled_send_counts_from_its_send_at(
    worker: WorkerProcess, provider: Simulator
) -> None:
    before = await worker.metrics()
    at = datetime.now(UTC) + timedelta(seconds=10)
    assert (await worker.send(message="x", sendAt=at.isoformat())).outcome == "accepted"
    found = (await worker.metrics()).since(before)
    assert found.sum(f"{TO_ACCEPTED}_count") == 1
    assert found.sum(f"{TO_ACCEPTED}_sum") < 10


async def test_each_http_call_is_one_observation_of_its_route(
    worker_process: WorkerProcessOf, provider: Simulator
) -> None:
    async with worker_process() as worker:
        await provider.faults(
            Fault(route="send_text", kind="hang", times=1),
            Fault(route="send_text", kind="cut", times=1),
            Fault(route="list_flows", status=429, times=1, headers=WAITING),
        )
        await worker.send(message="x", delivery="at_most_once")
        await worker.send(message="x", delivery="at_most_once")
        await worker.send(message="x")
        await worker.send(template="visa_approved")
        await worker.send(template="visa_approved", variables={"name": "John"})
        await worker.send(fileUrl="https://example.com/a.pdf", fileType="document")
        found = await worker.metrics()
        requests = await provider.requests()
    calls = found.by(CALLS, "route", "status")
    assert sum(calls.values()) == len(requests)
    assert calls == {
        ("GET /accounts/me", "200"): 1,
        ("GET /accounts/flows", "429"): 1,
        ("GET /accounts/flows", "200"): 1,
        ("GET /contacts/find_by_custom_field", "200"): 12,
        ("POST /contacts", "200"): 6,
        (SEND_TEXT, "lost"): 2,
        (SEND_TEXT, "200"): 1,
        ("POST /contacts/{contact_id}/send/{flow_id}", "200"): 1,
        ("POST /contacts/{contact_id}/send_content", "200"): 1,
        ("POST /contacts/{contact_id}/send/file", "200"): 1,
    }
    assert found.sum(WAITS) == 1
    # In seconds: the hanging call took its deadline of 1 s (a timer may fire a millisecond early),
    # the cut one almost no time.
    lost = found.by(CALLS.replace("_count", "_sum"), "route", "status")[SEND_TEXT, "lost"]
    assert 0.9 < lost < 2.5


CODE_429_IN_BODY = {"error": {"code": 429, "message": "Too many requests"}}


@pytest.mark.parametrize(
    ("fault", "waits"),
    [
        (Fault(route="send_text", status=429, times=1, headers=WAITING), 1),
        (Fault(route="send_text", status=425, times=1, headers=WAITING), 1),
        (Fault(route="send_text", status=200, times=1, body=CODE_429_IN_BODY, headers=WAITING), 1),
        (Fault(route="find_contact", status=429, times=1, headers=WAITING), 1),
        # The third refusal ends the send, so nothing waits after it.
        (Fault(route="send_text", status=429, headers=WAITING), 2),
        (Fault(route="send_text", status=503, times=1), 0),
    ],
)
async def test_each_wait_for_a_rate_limit_counts(
    worker: WorkerProcess, provider: Simulator, fault: Fault, waits: int
) -> None:
    before = await worker.metrics()
    await provider.faults(fault)
    await worker.send(message="x")
    assert (await worker.metrics()).since(before).sum(WAITS) == waits


async def test_a_cached_lookup_is_a_hit_and_a_call_is_a_miss(
    worker_process: WorkerProcessOf,
) -> None:
    to = new_phone()
    async with worker_process(CGB_TEMPLATE_MAPPED="1752250957765") as worker:
        for _ in range(3):
            assert (await worker.send(to=to, template="visa_approved")).outcome == "accepted"
        assert (await worker.send(to=to, template="mapped")).outcome == "accepted"
        found = await worker.metrics()
    assert found.by(CACHE, "cache", "result") == {
        ("contacts", "miss"): 1,
        ("contacts", "hit"): 3,
        ("flows", "miss"): 1,
        ("flows", "hit"): 2,
    }


async def test_each_row_of_a_batch_counts_like_a_send(
    server: DevServer, worker: WorkerProcess, provider: Simulator, tmp_path: Path
) -> None:
    people = tmp_path / "people.csv"
    people.write_text("to,message\n" + "".join(f"{new_phone()},x\n" for _ in range(5)))
    before = await worker.metrics()
    process = await asyncio.create_subprocess_exec(
        *(str(SEND_WHATSAPP), "batch", "send", str(people), "--key", f"metrics-{uuid.uuid4()}"),
        env=environment(server, TEMPORAL_TASK_QUEUE=worker.task_queue),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0
    found = (await worker.metrics()).since(before)
    assert found.by(SENDS, "kind", "outcome", "error_type") == {("text", "accepted", ""): 5}
    assert found.sum(f"{TO_ACCEPTED}_count") == 5


async def test_no_label_contains_a_phone_a_text_a_template_or_a_run(
    worker: WorkerProcess, provider: Simulator
) -> None:
    to = new_phone()
    runs = [
        await worker.send(to=to, message="canary"),
        await worker.send(to=to, template="canary"),
        await worker.send(to=to, template="visa_approved", variables={"canary": "canary"}),
        await worker.send(to=to, fileUrl="https://example.com/canary.png", fileType="image"),
    ]
    found = await worker.metrics()
    assert "canary" not in found.text
    assert to[1:] not in found.text
    for run in runs:
        assert run.id not in found.text
        assert run.run_id not in found.text


async def test_names_follow_the_conventions_of_prometheus(
    worker: WorkerProcess, provider: Simulator
) -> None:
    await worker.send(message="x")
    text = (await worker.metrics()).text
    types = dict(re.findall(r"^# TYPE (send_whatsapp_\S+) (\w+)$", text, re.MULTILINE))
    described = re.findall(r"^# HELP (send_whatsapp_\S+) \S.+$", text, re.MULTILINE)
    assert set(types) == set(described)
    assert all(
        name.endswith({"counter": "_total", "histogram": "_seconds"}[type_])
        for name, type_ in types.items()
    )
