"""The command `list`: every send with its true outcome."""

import asyncio
import functools
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from send_whatsapp.client.state import get_state
from simulator.faults import Fault
from simulator.process import Simulator
from tests.cli.conftest import Cli
from tests.conftest import UI_URL, SendHarness, WorkerOn, new_phone, run_command, until
from tools.dev_server import DevServer


async def test_the_list_shows_status_outcome_and_template_of_each_run(
    cli: Cli, harness: SendHarness, provider: Simulator
) -> None:
    template = f"none {uuid.uuid4()}"
    failed = await harness.send(template=template)
    fallback = await harness.send(template=template, message="instead")
    # Leaves enough time between two attempts for what a test does to the run.
    later = {"retry-after": "60"}
    await provider.faults(Fault(route="send_text", status=503, headers=later))
    unknown = await harness.start(template=template, message="instead")
    await until(lambda: _two_texts_requested(provider))
    await harness.client.get_workflow_handle(unknown.id).terminate()
    await provider.faults(Fault(route="find_contact", status=503, headers=later))
    running = await harness.start(to=new_phone(), template=template)
    malformed = await harness.client.start_workflow(
        "SendWhatsApp", 5, id=f"malformed-{uuid.uuid4()}", task_queue=harness.task_queue
    )
    await get_state(harness.client, malformed.id, wait=True)
    expected = {
        failed.id: ("Failed", "failed", template),
        fallback.id: ("Completed", "accepted", template),
        unknown.id: ("Terminated", "unknown", template),
        running.id: ("Running", "running", template),
        malformed.id: ("Failed", "failed", None),
    }
    # The server's visibility store lags behind a little.
    async with asyncio.timeout(30):
        while True:
            listed = (await cli("list", "--json", "--limit", "500")).json
            found = {
                run["id"]: (run["status"], run["outcome"], run["template"])
                for run in listed
                if run["id"] in expected
            }
            if found == expected:
                break
    by_template = (await cli("list", "--json", "--template", template)).json
    assert {run["id"] for run in by_template} == set(expected) - {malformed.id}
    of_template = ("list", "--template", template, "--since", "1h")
    only_unknown = (await cli(*of_template, "--outcome", "unknown", "--json")).json
    assert [run["id"] for run in only_unknown] == [unknown.id]
    table = (await cli("list", "--template", template)).out
    for id_ in set(expected) - {malformed.id}:
        assert f"{UI_URL}/namespaces/default/workflows/{id_}/" in table
    await harness.client.get_workflow_handle(running.id).terminate()


async def test_a_run_without_search_attributes_is_listed_too(
    worker_on: WorkerOn, server: DevServer
) -> None:
    async with worker_on(search_attributes=False) as harness:
        state = await harness.send(template="nothing like it", message="x")
    async with asyncio.timeout(30):
        while True:
            listed = (await run_command("list", "--json", address=server.address)).json
            found = [run for run in listed if run["id"] == state.id]
            if found:
                break
    assert found[0]["outcome"] == "accepted"
    assert found[0]["template"] == "nothing like it"


async def test_waiting_reminders_hide_nothing_that_started_later(
    server: DevServer, harness: SendHarness
) -> None:
    template = f"t {uuid.uuid4()}"
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    ids: list[str] = []
    for number in range(12):
        send_at = later if number % 3 else None
        state = await harness.start(template=template, message="x", sendAt=send_at)
        if number % 3 == 2:
            await harness.client.get_workflow_handle(state.id).terminate()
        ids.insert(0, state.id)
    # The reminder that started first closes last.
    await harness.client.get_workflow_handle(ids[-2]).terminate()
    words = ("list", "--json", "--template", template)

    async def listed(*options: str) -> list[str]:
        done = await run_command(*words, *options, address=server.address)
        return [send["id"] for send in done.json]

    async def all_are_listed_with_their_status() -> bool:
        done = await run_command(*words, address=server.address)
        outcomes = [send["outcome"] for send in done.json]
        return (len(outcomes), outcomes.count("running")) == (12, 3)

    await until(all_are_listed_with_their_status)
    assert await listed() == ids
    assert await listed("--limit", "5") == ids[:5]
    assert await listed("--limit", "11") == ids[:11]
    for id_ in ids:
        await _end(harness, id_)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--last4", "12345"), "--last4"),
        (("--last4", "x"), "--last4"),
        (("--last4", ""), "--last4"),
        (("--error-type", "Nope"), "--error-type"),
        (("--outcome", "sent"), "--outcome"),
        (("--template", " "), "--template"),
        (("--since", "10"), "--since"),
        (("--limit", "0"), "--limit"),
    ],
)
async def test_a_wrong_filter_is_refused(options: tuple[str, ...], reason: str) -> None:
    done = await run_command("list", *options, address="127.0.0.1:1")
    assert done.code == 2
    assert reason in done.err


async def test_a_list_without_a_match_says_so(cli: Cli) -> None:
    nothing = ("list", "--template", f"no {uuid.uuid4()}")
    assert (await cli(*nothing)).out == "No message matches.\n"
    assert (await cli(*nothing, "--json")).json == []


async def test_a_send_that_waits_is_found_by_its_last_digits(
    server: DevServer, client: Client
) -> None:
    template = f"t {uuid.uuid4()}"
    words = ("--template", template, "--fallback", "x", "--no-wait")
    queue = f"nobody-{uuid.uuid4()}"
    for phone, when in (("(415) 555-2671", ()), ("+14155552672", ("--in", "1h"))):
        send = ("send", "--to", phone, *words, *when)
        assert (await run_command(*send, address=server.address, task_queue=queue)).code == 0

    async def found(last4: str) -> list[tuple[str, str, str]]:
        words = ("list", "--last4", last4, "--template", template, "--json")
        listed = (await run_command(*words, address=server.address)).json
        return [(send["last4"], send["kind"], send["outcome"]) for send in listed]

    for last4 in ("2671", "2672"):
        await until(functools.partial(found, last4))
        assert await found(last4) == [(last4, "template", "running")]
    shown = (await run_command("list", "--template", template, address=server.address)).out
    assert "...2671" in shown
    assert "+14155552671" not in shown


async def test_a_row_of_a_batch_is_found_by_its_last_digits(
    cli: Cli, tmp_path: Path, provider: Simulator
) -> None:
    key = f"b-{uuid.uuid4()}"
    phones = [f"{new_phone()[:-4]}{digits}" for digits in ("8401", "8402", "8402")]
    await provider.faults(Fault(route="send_text", phone=phones[1], status=400))
    file = tmp_path / "people.csv"
    file.write_text("to\n" + "\n".join(phones))
    assert (await cli("batch", "send", str(file), "--key", key, "--message", "x")).code == 1

    async def found(last4: str, *options: str) -> list[tuple[object, ...]]:
        listed = (await cli("list", "--last4", last4, "--json", *options)).json
        rows = [send for send in listed if send["batch"] == key]
        return [(r["id"], r["row"], r["outcome"], r["errorType"], r["last4"]) for r in rows]

    await until(lambda: found("8401"))
    assert await found("8401") == [(f"batch-{key}", 2, "accepted", None, "8401")]
    failed = (f"batch-{key}", 3, "failed", "ProviderRejected", "8402")
    assert await found("8402", "--outcome", "failed") == [failed]
    assert len(await found("8402")) == 2
    assert f"batch-{key} row 3" in (await cli("list", "--last4", "8402")).out


async def _end(harness: SendHarness, id_: str) -> None:
    with suppress(RPCError):
        await harness.client.get_workflow_handle(id_).terminate()


async def _two_texts_requested(provider: Simulator) -> bool:
    return len(await provider.requests("send_text")) >= 2
