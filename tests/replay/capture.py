"""`make histories`: runs every path for real and keeps its anonymized history for the replay tests.

pytest does not collect this module by itself: histories are captured again only after an
intended change of a workflow (docs/changing-the-workflow.md).
"""

import json
import os
import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import PauseActivityRequest
from temporalio.client import Client, WorkflowHandle

from send_whatsapp.client import batches, sends
from send_whatsapp.client.opt_outs import opt_out_result, start_opt_out
from send_whatsapp.client.state import State, get_state
from send_whatsapp.contract import names
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.opt_out import SetOptOutRequest, SetOptOutResult
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.settings import WorkerSettings
from simulator.faults import Fault
from simulator.process import Simulator
from tests.clocks import SOMEWHERE, clocks_in
from tests.conftest import ROOT, ProcessOn, SendHarness, WorkerOn, start_keeper, until

HISTORIES = Path(__file__).parent / "histories"

PERSON = "+14155550100"
"""A number reserved for fiction, so that no history shows a real person."""

TEXT: dict[str, Any] = {"message": "Hello"}
TEMPLATE: dict[str, Any] = {"template": "visa_approved", "variables": {"name": "John Doe"}}
FILE: dict[str, Any] = {"fileUrl": "https://example.com/visa.pdf", "fileType": "document"}
AT_MOST_ONCE = TEXT | {"delivery": "at_most_once"}

LOST_ANSWER = Fault(route="send_text", kind="cut", effect=True, times=1)
RATE_LIMITED = Fault(route="send_text", status=429, headers={"retry-after": "1"}, times=1)

CASES: dict[str, tuple[dict[str, Any], list[Fault], str]] = {
    "text": (TEXT, [], "accepted"),
    "template": (TEMPLATE, [], "accepted"),
    "template-without-variables": ({"template": "visa_rejected"}, [], "accepted"),
    "fallback": ({"template": "thank_you", "message": "Thank you!"}, [], "accepted"),
    "media": (FILE, [], "accepted"),
    "lookup-retried": (TEXT, [Fault(route="find_contact", times=1)], "accepted"),
    "template-lookup-retried": (TEMPLATE, [Fault(route="list_flows", times=1)], "accepted"),
    "send-retried": (TEXT, [LOST_ANSWER], "accepted"),
    "send-waits-for-the-rate-limit": (AT_MOST_ONCE, [RATE_LIMITED], "accepted"),
    "invalid-request": (TEXT | {"canary": 1}, [], "failed"),
    "invalid-phone-number": (TEXT | {"to": "+0"}, [], "failed"),
    "template-not-found": ({"template": "thank_you"}, [], "failed"),
    "unauthorized": (TEXT, [Fault(status=401)], "failed"),
    "provider-rejected": (TEXT, [Fault(route="send_text", status=422)], "failed"),
    "provider-contract": (TEXT, [Fault(route="create_contact", status=200, body="?")], "failed"),
    "provider-unavailable": (TEXT, [Fault(route="find_contact", status=503)], "failed"),
    "rate-limited": (
        TEXT,
        [Fault(route="send_text", status=429, headers={"retry-after": "0"})],
        "failed",
    ),
    "delivery-unknown-at-most-once": (AT_MOST_ONCE, [LOST_ANSWER], "unknown"),
    "delivery-unknown-at-least-once": (
        TEXT,
        [LOST_ANSWER.model_copy(update={"times": None})],
        "unknown",
    ),
    "delivery-unknown-not-understood": (
        TEXT,
        [Fault(route="send_text", status=204, body="", effect=True)],
        "unknown",
    ),
}


async def keep(client: Client, name: str, workflow_id: str, run_id: str | None = None) -> None:
    """Write the history of a closed run, without traces of the machine it ran on."""
    history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
    content = anonymous(json.loads(history.to_json()))
    HISTORIES.mkdir(exist_ok=True)
    (HISTORIES / f"{name}.json").write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def anonymous(content: Any) -> Any:
    """Return the JSON of a history with one name for every process, without paths."""
    if isinstance(content, list):
        return [anonymous(part) for part in content]
    if isinstance(content, dict):
        return {n: "" if n == "stackTrace" else anonymous(part) for n, part in content.items()}
    if isinstance(content, str):
        content = re.sub(r"^\d+@\S+", "anonymous", content)
        return re.sub(r"^test-[0-9a-f-]{36}", names.DEFAULT_TASK_QUEUE, content)
    return content


async def start(harness: SendHarness, **fields: Any) -> State:
    """Start a run as any SDK can, even with a malformed request."""
    handle = await harness.client.start_workflow(
        names.SEND_WORKFLOW,
        {"to": PERSON} | fields,
        id=names.new_workflow_id(),
        task_queue=harness.task_queue,
    )
    return await get_state(harness.client, handle.id)


async def ended(harness: SendHarness, started: State) -> str:
    return (await get_state(harness.client, started.id, wait=True)).outcome


@pytest.mark.parametrize("name", CASES)
async def test_a_path(worker_on: WorkerOn, provider: Simulator, name: str) -> None:
    fields, faults, outcome = CASES[name]
    async with worker_on(CGB_TIMEOUT="5000") as harness:
        await provider.faults(*faults)
        started = await start(harness, **fields)
        assert await ended(harness, started) == outcome
        await keep(harness.client, name, started.id)


async def test_a_known_contact_and_a_configured_template(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on(CGB_TEMPLATE_REMINDER="1752250957768") as harness:
        assert await ended(harness, await start(harness, **TEXT)) == "accepted"
        again = await start(harness, template="reminder", variables={"date": "Monday"})
        assert await ended(harness, again) == "accepted"
        await keep(harness.client, "known-contact-configured-template", again.id)


async def test_one_request_an_activity(worker_on: WorkerOn, provider: Simulator) -> None:
    async with worker_on(CGB_MAX_REQUESTS_PER_MINUTE="60000") as harness:
        started = await start(harness, **TEMPLATE)
        assert await ended(harness, started) == "accepted"
        await keep(harness.client, "one-request-an-activity", started.id)


async def test_without_search_attributes(worker_on: WorkerOn, provider: Simulator) -> None:
    async with worker_on(search_attributes=False) as harness:
        started = await start(harness, **TEXT)
        assert await ended(harness, started) == "accepted"
        await keep(harness.client, "without-search-attributes", started.id)


async def test_a_time_to_send_at(harness: SendHarness, provider: Simulator) -> None:
    started = await start(harness, **TEXT, sendAt=in_s(2))
    assert await ended(harness, started) == "accepted"
    await keep(harness.client, "send-at", started.id)


async def test_expired_before_the_lookup(harness: SendHarness, provider: Simulator) -> None:
    started = await start(harness, **TEXT, expiresAt=in_s(-1))
    assert await ended(harness, started) == "failed"
    await keep(harness.client, "expired", started.id)


async def test_expired_while_paused(harness: SendHarness, provider: Simulator) -> None:
    await provider.faults(RATE_LIMITED)
    started = await start(harness, **TEXT, expiresAt=in_s(4))
    await until(lambda: requested(provider, "send_text"))
    await harness.client.workflow_service.pause_activity(
        PauseActivityRequest(
            namespace="default",
            execution=WorkflowExecution(workflow_id=started.id),
            id=names.SEND_ACTIVITY_ID,
        )
    )
    assert await ended(harness, started) == "failed"
    await keep(harness.client, "expired-while-paused", started.id)


@pytest.mark.parametrize(
    ("name", "fault", "outcome"),
    [
        ("during-the-lookup", Fault(route="find_contact", kind="hang"), "cancelled"),
        ("between-attempts", Fault(route="send_text", status=429), "cancelled"),
        ("too-late", Fault(route="send_text", status=200, effect=True, delay_ms=2000), "accepted"),
        ("without-an-answer", Fault(route="send_text", kind="hang", effect=True), "unknown"),
    ],
)
async def test_cancelled(
    worker_on: WorkerOn, provider: Simulator, name: str, fault: Fault, outcome: str
) -> None:
    async with worker_on(CGB_TIMEOUT="4000", CGB_RETRY_ATTEMPTS="3") as harness:
        body = {"success": True}
        await provider.faults(fault.model_copy(update={"body": body}))
        started = await start(harness, **AT_MOST_ONCE)
        await until(lambda: requested(provider, fault.route))
        if name == "between-attempts":
            await until(lambda: waits(harness, started))
        await sends.request_cancel(harness.client, started)
        assert await ended(harness, started) == outcome
        await keep(harness.client, f"cancelled-{name}", started.id)


async def test_a_person_who_has_opted_out(worker_on: WorkerOn, provider: Simulator) -> None:
    await provider.change_contact(PERSON, tags=["opt-out"])
    async with worker_on(OPT_OUT="respect") as harness:
        started = await start(harness, **TEXT)
        assert await ended(harness, started) == "failed"
        await keep(harness.client, "opted-out", started.id)


@pytest.mark.parametrize("opted_out", [True, False])
async def test_a_change_of_an_opt_out(
    harness: SendHarness, provider: Simulator, opted_out: bool
) -> None:
    await provider.change_contact(PERSON, tags=[] if opted_out else ["opt-out"])
    await provider.faults(Fault(route="list_tags", times=1))
    request = SetOptOutRequest(to=PERSON, opted_out=opted_out)
    run = await start_opt_out(harness.client, request, task_queue=harness.task_queue)
    assert isinstance(await opt_out_result(harness.client, run), SetOptOutResult)
    await keep(harness.client, "opt-out" if opted_out else "opt-in", run.id)


async def test_wrong_variables(worker_on: WorkerOn, provider: Simulator) -> None:
    async with worker_on(TEMPLATES_FILE=str(ROOT / "examples" / "templates.yaml")) as harness:
        started = await start(harness, **TEMPLATE)
        assert await ended(harness, started) == "failed"
        await keep(harness.client, "wrong-variables", started.id)
        batch = await start_batch(harness, [TEMPLATE, TEXT])
        await batch.result()
        await keep_batch(harness, "batch-wrong-variables", batch)


async def test_a_batch(harness: SendHarness, provider: Simulator) -> None:
    await provider.faults(
        Fault(route="send_text", phone=phone(1), status=400),
        Fault(route="send_text", phone=phone(2), kind="cut", effect=True),
    )
    batch = await start_batch(harness, [TEXT] * 4)
    await batch.result()
    await keep_batch(harness, "batch", batch)


async def test_a_batch_with_rows_that_are_sent_by_themselves(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on(CGB_TIMEOUT="5000", CGB_RETRY_ATTEMPTS="3") as harness:
        await provider.faults(
            Fault(route="find_contact", phone=phone(0), times=1),
            Fault(route="send_text", phone=phone(1), status=429, times=1),
            Fault(route="send_text", phone=phone(2), kind="cut", effect=True, times=1),
        )
        rows = [*[TEXT] * 3, TEXT | {"sendAt": in_s(3)}, TEMPLATE, {"template": "thank_you"}]
        batch = await start_batch(harness, rows)
        await batch.result()
        await keep_batch(harness, "batch-single-rows", batch)


async def test_a_batch_with_one_request_an_activity(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on(CGB_MAX_REQUESTS_PER_MINUTE="60000") as harness:
        batch = await start_batch(harness, [TEXT] * 3)
        await batch.result()
        await keep_batch(harness, "batch-one-request", batch)


async def test_a_batch_with_a_slow_row_and_a_rate(worker_on: WorkerOn, provider: Simulator) -> None:
    async with worker_on(CGB_TIMEOUT="20000") as harness:
        await provider.faults(
            Fault(route="send_text", phone=phone(0), status=200, effect=True, delay_ms=6000)
        )
        batch = await start_batch(harness, [TEXT] * 9, in_flight=4, per_minute=120)
        await batch.result()
        await keep_batch(harness, "batch-slow-row", batch)


async def test_a_batch_that_starts_later(harness: SendHarness, provider: Simulator) -> None:
    start = datetime.now(UTC) + timedelta(seconds=3)
    batch = await start_batch(harness, [TEXT] * 2, send_at=start)
    await batch.result()
    await keep_batch(harness, "batch-later", batch)


async def test_a_batch_that_pauses_itself(harness: SendHarness, provider: Simulator) -> None:
    await provider.faults(Fault(route="send_text", status=400, times=2))
    batch = await start_batch(harness, [TEXT] * 6, in_flight=2, pause_after=2)

    async def paused() -> bool:
        return (await batches.get_status(harness.client, key_of(batch))).paused

    await until(paused)
    await batches.resume(harness.client, key_of(batch))
    await batch.result()
    await keep_batch(harness, "batch-paused", batch)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("in-flight", Fault(route="send_text", kind="hang", effect=True)),
        ("during-lookups", Fault(route="find_contact", kind="hang")),
        ("between-attempts", Fault(route="send_text", status=429)),
    ],
)
async def test_a_cancelled_batch(
    worker_on: WorkerOn, provider: Simulator, name: str, fault: Fault
) -> None:
    async with worker_on(CGB_TIMEOUT="4000", CGB_RETRY_ATTEMPTS="3") as harness:
        await provider.faults(fault)
        batch = await start_batch(harness, [AT_MOST_ONCE] * 4, in_flight=2)
        await until(lambda: requested(provider, fault.route))
        await batches.cancel(harness.client, key_of(batch))
        await batch.result()
        await keep_batch(harness, f"batch-cancelled-{name}", batch)


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
async def test_a_batch_whose_group_is_lost(
    client: Client,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    worker_process: ProcessOn,
    delivery: str,
) -> None:
    settings = settings_for(CGB_TIMEOUT="2000", CGB_RETRY_ATTEMPTS="3")
    harness = SendHarness(client, settings)
    await provider.faults(Fault(route="send_text", kind="hang", effect=True, times=2))
    with worker_process(settings) as first:
        batch = await start_batch(harness, [TEXT | {"delivery": delivery}] * 3)
        await until(lambda: requested(provider, "send_text"))
        os.kill(first.pid, signal.SIGKILL)
    with worker_process(settings):
        await batch.result()
    await keep_batch(harness, f"batch-lost-group-{delivery.replace('_', '-')}", batch)


async def test_a_turn_behind_another_send(worker_on: WorkerOn, provider: Simulator) -> None:
    async with worker_on(CGB_TIMEOUT="8000", CGB_RECIPIENT_GAP="500") as harness:
        await provider.faults(SLOW.model_copy(update={"times": 1}))
        first = await start(harness, **TEXT, inOrder=True)
        await until(lambda: requested(provider, "send_text"))
        second = await start(harness, **TEMPLATE)
        await until(lambda: says(harness, second, "Waits for its turn behind"))
        third = await start(harness, **TEXT, inOrder=True)
        await until(lambda: says(harness, third, "Waits for its turn behind"))
        await sends.request_cancel(harness.client, third)
        assert await ended(harness, first) == await ended(harness, second) == "accepted"
        assert await ended(harness, third) == "cancelled"
        await keep(harness.client, "turn-that-others-wait-for", first.id)
        await keep(harness.client, "turn-behind-another-send", second.id)
        await keep(harness.client, "turn-cancelled", third.id)


async def test_a_keeper_that_continues_as_new(worker_on: WorkerOn, provider: Simulator) -> None:
    async with worker_on(CGB_RECIPIENT_GAP="300") as harness:
        keeper = await start_keeper(harness, steps_per_run=10)
        first_run = keeper.first_execution_run_id
        while (await keeper.describe()).run_id == first_run:
            runs = [await start(harness, **TEXT, inOrder=True) for _ in range(3)]
            assert {await ended(harness, run) for run in runs} == {"accepted"}
        await keep(harness.client, "keeper", keeper.id, first_run)


async def test_a_batch_whose_rows_take_turns(worker_on: WorkerOn, provider: Simulator) -> None:
    async with worker_on(CGB_TIMEOUT="5000", CGB_RECIPIENT_GAP="500") as harness:
        await provider.faults(Fault(route="send_content", phone=phone(1), status=429, times=1))
        rows = [TEMPLATE, TEMPLATE, TEMPLATE | {"to": phone(0)}, TEXT]
        batch = await start_batch(harness, rows)
        await batch.result()
        await keep_batch(harness, "batch-turns", batch)


async def test_a_send_that_waits_for_its_window(
    worker_on: WorkerOn, provider: Simulator, tmp_path: Path
) -> None:
    with clocks_in(tmp_path) as clocks:
        async with worker_on(CGB_TIMEOUT="5000") as harness:
            clocks.show("08:59:57")
            waiting = await start(harness, **TEMPLATE, sendWindow=BY_DAY)
            assert await ended(harness, waiting) == "accepted"
            await keep(harness.client, "window", waiting.id)
            clocks.show("08:00:00")
            late = await start(harness, **TEXT, sendWindow=BY_DAY, expiresAt=in_s(60))
            assert await ended(harness, late) == "failed"
            await keep(harness.client, "window-expired", late.id)
            cancelled = await start(harness, **TEXT, sendWindow=BY_DAY)
            await until(lambda: says(harness, cancelled, "Waits until 09:00"))
            await sends.request_cancel(harness.client, cancelled)
            assert await ended(harness, cancelled) == "cancelled"
            await keep(harness.client, "window-cancelled", cancelled.id)


async def test_a_send_whose_window_closes_before_it_begins(
    worker_on: WorkerOn, provider: Simulator, tmp_path: Path
) -> None:
    await provider.faults(Fault(route="find_contact", status=429, headers=AFTER_5_S, times=1))
    with clocks_in(tmp_path) as clocks:
        async with worker_on(CGB_RETRY_FOR="60") as harness:
            clocks.show("19:59:56", then=(9, "09:00:00"))
            started = await start(harness, **TEMPLATE, sendWindow=BY_DAY)
            assert await ended(harness, started) == "accepted"
            await keep(harness.client, "window-closed-before-the-send", started.id)


async def test_a_turn_that_comes_when_the_window_has_closed(
    worker_on: WorkerOn, provider: Simulator, tmp_path: Path
) -> None:
    await provider.faults(Fault(route="send_text", status=429, headers=AFTER_5_S, times=1))
    with clocks_in(tmp_path) as clocks:
        async with worker_on(CGB_RETRY_FOR="60", CGB_RECIPIENT_GAP="300") as harness:
            first = await start(harness, **TEXT, inOrder=True)
            await until(lambda: waits(harness, first))
            clocks.show("19:59:58", then=(9, "09:00:00"))
            second = await start(harness, **TEXT, inOrder=True, sendWindow=BY_DAY)
            assert await ended(harness, first) == await ended(harness, second) == "accepted"
            await keep(harness.client, "window-turn-given-back", second.id)


async def test_a_batch_whose_rows_wait_for_their_windows(
    worker_on: WorkerOn, provider: Simulator, tmp_path: Path
) -> None:
    with clocks_in(tmp_path) as clocks:
        async with worker_on(CGB_TIMEOUT="5000", CGB_RECIPIENT_GAP="300") as harness:
            clocks.show("19:59:57", then=(9, "09:00:00"))
            clocks.show("08:59:55", "Antarctica/Casey")
            clocks.show("06:00:00", "Antarctica/Davis")
            windows = [BY_DAY | {"zone": f"Antarctica/{name}"} for name in ("Troll", "Casey")]
            rows = [content | {"sendWindow": w} for w in windows for content in (TEXT, TEMPLATE)]
            late = BY_DAY | {"zone": "Antarctica/Davis"}
            rows += [TEXT, TEXT | {"sendWindow": late, "expiresAt": in_s(60)}]
            rows += [TEXT | {"sendWindow": windows[0], "to": phone(n)} for n in range(4)]
            batch = await start_batch(harness, rows, per_minute=60)
            await batch.result()
            await keep_batch(harness, "batch-windows", batch)


async def test_a_cancelled_batch_whose_rows_wait_for_their_windows(
    harness: SendHarness, provider: Simulator, tmp_path: Path
) -> None:
    with clocks_in(tmp_path) as clocks:
        clocks.show("08:00:00")
        batch = await start_batch(harness, [TEXT, TEXT | {"sendWindow": BY_DAY}])

        async def waiting() -> bool:
            status = await batches.get_status(harness.client, key_of(batch))
            return (status.outside_window, status.counts.accepted) == (1, 1)

        await until(waiting)
        await batches.cancel(harness.client, key_of(batch))
        await batch.result()
        await keep_batch(harness, "batch-windows-cancelled", batch)


BY_DAY = {"from": "09:00", "to": "20:00", "zone": SOMEWHERE}

AFTER_5_S = {"retry-after": "5"}

SLOW = Fault(route="send_text", status=200, body={"success": True}, effect=True, delay_ms=3000)


async def says(harness: SendHarness, started: State, words: str) -> bool:
    progress = (await get_state(harness.client, started.id)).progress
    return progress is not None and progress.summary.startswith(words)


def phone(number: int) -> str:
    """Return one of the numbers reserved for fiction."""
    return f"+1415555010{number}"


async def start_batch(
    harness: SendHarness, contents: list[dict[str, Any]], **limits: Any
) -> WorkflowHandle[Any, Any]:
    rows = [
        Row(
            row=n + 2,
            key=f"person-{n}",
            request=SendWhatsAppRequest.model_validate({"to": phone(n), **content}),
        )
        for n, content in enumerate(contents)
    ]
    key = names.new_workflow_id()
    await batches.start(
        harness.client,
        key,
        rows,
        [],
        limits=batches.BatchLimits.model_validate(limits),
        task_queue=harness.task_queue,
    )
    return harness.client.get_workflow_handle(names.batch_id(key))


def key_of(batch: WorkflowHandle[Any, Any]) -> str:
    return batch.id.removeprefix("batch-")


async def keep_batch(harness: SendHarness, name: str, batch: WorkflowHandle[Any, Any]) -> None:
    """Keep the history of a batch and that of its first part."""
    await keep(harness.client, name, batch.id)
    await keep(harness.client, f"{name}-part", names.part_id(batch.id, 1, 0))


def in_s(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def requested(provider: Simulator, route: str) -> bool:
    return bool(await provider.requests(route))


async def waits(harness: SendHarness, started: State) -> bool:
    described = await harness.client.get_workflow_handle(started.id).describe()
    return any(a.HasField("last_failure") for a in described.raw_description.pending_activities)
