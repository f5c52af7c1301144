"""A key that is started again, ids that belong to something else, batches without a worker."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from send_whatsapp.client import batches
from send_whatsapp.contract.batch import Counts, Row
from send_whatsapp.contract.names import BATCH_WORKFLOW, SEND_WORKFLOW, batch_id
from send_whatsapp.contract.parts import BatchInput
from send_whatsapp.contract.request import SendWhatsAppRequest
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import CommandResult, SendHarness, new_phone, run_command, until
from tools.dev_server import DevServer


@pytest.fixture
def cli(server: DevServer, harness: SendHarness) -> Any:
    async def call(*arguments: str) -> CommandResult:
        return await run_command(*arguments, address=server.address, task_queue=harness.task_queue)

    return call


def new_key() -> str:
    return f"b-{uuid.uuid4()}"


def file(folder: Path, *phones: str) -> str:
    path = folder / f"{uuid.uuid4()}.csv"
    path.write_text("to,message\n" + "".join(f"{phone},hello\n" for phone in phones))
    return str(path)


async def report(cli: Any, key: str) -> list[tuple[int | None, str, str]]:
    rows = (await cli("batch", "report", key, "--json")).json
    return [(row["row"], row["to"], row["outcome"]) for row in rows]


async def test_the_same_command_with_expires_in_is_the_same_batch(
    cli: Any, tmp_path: Path, provider: Simulator
) -> None:
    await provider.faults(
        Fault(route="send_text", status=429, headers={"retry-after": "5"}, times=1)
    )
    key, phone = new_key(), new_phone()
    arguments = ("batch", "send", file(tmp_path, phone), "--key", key, "--expires-in", "2h")
    for more in (["--no-wait"], ["--no-wait"], [], []):
        done = await cli(*arguments, *more)
        assert done.code == 0, done.err
    assert len(await provider.inbox(phone)) == 1


async def test_the_report_has_the_lines_and_the_order_of_the_latest_file(
    cli: Any, tmp_path: Path, provider: Simulator
) -> None:
    key, a, b, c = new_key(), new_phone(), new_phone(), new_phone()

    async def send(*phones: str) -> int | None:
        done: CommandResult = await cli("batch", "send", file(tmp_path, *phones), "--key", key)
        return done.code

    await provider.faults(Fault(route="send_text", phone=c, status=400))
    assert await send(a, b, c) == 1
    assert await send(c, a, b) == 1
    await provider.faults()
    assert (await cli("batch", "retry-failed", key)).code == 0
    accepted = "accepted"
    assert await report(cli, key) == [(2, c, accepted), (3, a, accepted), (4, b, accepted)]
    assert await send(b, c) == 0
    assert await report(cli, key) == [(2, b, accepted), (3, c, accepted), (None, a, accepted)]
    assert len(await provider.inbox()) == 3


async def test_an_interrupted_second_start_forgets_no_row(
    harness: SendHarness, client: Client, provider: Simulator
) -> None:
    key, phones = new_key(), [new_phone() for _ in range(3)]
    whole = [
        Row(row=n, key=f"k{n}", request=SendWhatsAppRequest(to=phone, message="x"))
        for n, phone in enumerate(phones, 2)
    ]

    async def ended() -> bool:
        return not (await batches.get_status(client, key)).running

    async def send() -> None:
        await batches.start(client, key, whole, [], task_queue=harness.task_queue)
        await until(ended)

    await provider.faults(Fault(route="send_text", phone=phones[0], status=400))
    await send()
    await provider.faults()
    # The starter died before it started any part of the second run, which was then terminated.
    handle = await client.start_workflow(
        BATCH_WORKFLOW,
        BatchInput(key=key, generation=2, parts=[Counts(running=1), Counts(accepted=2)]),
        id=batch_id(key),
        task_queue=harness.task_queue,
    )
    await handle.terminate()
    counts = (await batches.get_status(client, key)).counts
    assert counts == Counts.of(await batches.outcomes(client, key))
    assert counts == Counts(accepted=2, failed=1)
    await send()
    assert sorted(m["phone"] for m in await provider.inbox()) == sorted(phones)
    assert (await batches.get_status(client, key)).counts == Counts(accepted=3)


async def test_a_key_that_looks_like_a_part_of_another_batch_is_another_key(
    cli: Any, tmp_path: Path, provider: Simulator
) -> None:
    key = new_key()
    for each in (key, f"{key}-1-0", f"{key}-1"):
        done = await cli("batch", "send", file(tmp_path, new_phone()), "--key", each)
        assert done.code == 0, done.err
    assert len(await provider.inbox()) == 3


async def test_an_id_that_belongs_to_a_send_is_refused(
    cli: Any, harness: SendHarness, tmp_path: Path, provider: Simulator
) -> None:
    key = new_key()
    other = await harness.client.start_workflow(
        SEND_WORKFLOW,
        SendWhatsAppRequest(to=new_phone(), message="x"),
        id=batch_id(key),
        task_queue=harness.task_queue,
    )
    await other.result()
    refused = await cli("batch", "send", file(tmp_path, new_phone()), "--key", key)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "belongs to a SendWhatsApp" in refused.err
    assert (await cli("batch", "status", key)).code == 2
    assert len(await provider.inbox()) == 1


async def test_a_batch_without_a_worker_starts_and_has_a_status(
    server: DevServer, tmp_path: Path
) -> None:
    async def call(*arguments: str) -> CommandResult:
        return await run_command(
            "batch", *arguments, address=server.address, task_queue=f"nobody-{key}"
        )

    key = new_key()
    started = await call(
        "send", file(tmp_path, new_phone(), new_phone()), "--key", key, "--no-wait", "--json"
    )
    assert (started.code, started.json["running"]) == (0, 2)
    status = await call("status", key, "--json")
    assert (status.code, status.json["running"], status.json["total"]) == (0, 2, 2)
    paused = await call("pause", key)
    assert paused.code == 4
    assert "No worker" in paused.err
    assert "does not answer" not in paused.err


async def test_rows_of_parts_that_have_not_started_are_counted(
    client: Client, server: DevServer
) -> None:
    key = new_key()
    handle = await client.start_workflow(
        BATCH_WORKFLOW,
        BatchInput(key=key, parts=[Counts(running=250), Counts(accepted=3, running=7)]),
        id=batch_id(key),
        task_queue=f"nobody-{key}",
    )
    assert (await batches.get_status(client, key)).counts == Counts(running=260)
    await handle.terminate()
    assert (await batches.get_status(client, key)).counts == Counts(cancelled=260)
