"""Callbacks on the command line: `--callback`, and `callback replay`."""

import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from send_whatsapp.client import sends
from send_whatsapp.client.state import get_state
from send_whatsapp.contract import names
from send_whatsapp.contract.request import SendWhatsAppRequest
from tests.callbacks.conftest import FileOf
from tests.conftest import CommandResult, SendHarness, WorkerOn, new_phone, run_command, until
from tools.callback_receiver import Receiver, running
from tools.dev_server import DevServer

Cli = Callable[..., Coroutine[Any, Any, CommandResult]]


@pytest.fixture
async def harness(
    worker_on: WorkerOn, receiver: Receiver, file_of: FileOf
) -> AsyncIterator[SendHarness]:
    async with worker_on(**file_of(shop=receiver.url)) as opened:
        yield opened


@pytest.fixture
def cli(server: DevServer, harness: SendHarness) -> Cli:
    async def call(*arguments: str, stdin: str | None = None) -> CommandResult:
        return await run_command(
            *arguments, address=server.address, task_queue=harness.task_queue, stdin=stdin
        )

    return call


async def test_send_and_status_name_the_callback(cli: Cli, receiver: Receiver) -> None:
    key = f"k-{uuid.uuid4()}"
    words = ("send", "--to", new_phone(), "--message", "x", "--key", key, "--callback", "shop")
    done = await cli(*words, "--json")
    assert (done.code, done.json["callback"]) == (0, "shop")
    await until(lambda: receiver.calls)
    assert receiver.calls[0].event["data"]["key"] == key
    assert "callback    shop" in (await cli("status", key)).out
    # A callback does not count when two requests under one key are compared.
    again = await cli(*words[:-2], "--json")
    assert (again.code, again.json["runId"]) == (0, done.json["runId"])
    assert len(receiver.calls) == 1


async def test_batch_send_and_status_name_the_callback(
    cli: Cli, receiver: Receiver, tmp_path: Any
) -> None:
    file = tmp_path / "people.csv"
    file.write_text(f"to,message\n{new_phone()},x\n{new_phone()},y\n")
    key = f"b-{uuid.uuid4()}"
    done = await cli("batch", "send", str(file), "--key", key, "--callback", "shop")
    assert done.code == 0, done.err
    await until(lambda: receiver.calls)
    [call] = receiver.calls
    assert call.event["data"]["counts"]["accepted"] == 2
    assert (await cli("batch", "status", key, "--json")).json["callback"] == "shop"
    assert "callback    shop" in (await cli("batch", "status", key)).out
    replayed = await cli("callback", "replay", key)
    assert replayed.code == 0, replayed.err
    await until(lambda: len(receiver.calls) == 2)
    assert (await cli("callback", "replay", f"batch-{key}")).code == 0
    await until(lambda: len(receiver.calls) == 3)
    assert {(call.id, call.body) for call in receiver.calls} == {(call.id, call.body)}


@pytest.mark.parametrize("name", ["", " ", "shop floor", "-shop", "x" * 61, "schön"])
@pytest.mark.parametrize("command", ["send", "batch send"])
async def test_a_wrong_name_is_refused(cli: Cli, command: str, name: str) -> None:
    given = {"send": ["--to", "+1234567890"], "batch send": ["none.csv", "--key", "k"]}[command]
    refused = await cli(*command.split(), *given, "--message", "x", f"--callback={name}")
    assert refused.code == 2
    assert "--callback must be the name of a callback" in refused.err


async def message(harness: SendHarness, **fields: Any) -> str:
    request = SendWhatsAppRequest.model_validate({"to": new_phone(), "message": "x"} | fields)
    started = await sends.start_send(
        harness.client, request, callback="shop", task_queue=harness.task_queue
    )
    return started.id


async def test_replay_delivers_the_same_event_again(
    cli: Cli, harness: SendHarness, receiver: Receiver
) -> None:
    id_ = await message(harness)
    await until(lambda: receiver.calls)
    [first] = receiver.calls
    for number, what in enumerate([id_, first.id, names.callback_id(first.id)], start=2):
        done = await cli("callback", "replay", what, "--json")
        assert done.code == 0, done.err
        assert done.json["webhookId"] == first.id
        assert (done.json["type"], done.json["callback"]) == ("message.accepted", "shop")
        await until(lambda number=number: len(receiver.calls) == number)  # type: ignore[misc]
    assert {(call.id, call.body) for call in receiver.calls} == {(first.id, first.body)}
    shown = await cli("callback", "replay", id_)
    assert f"message.accepted goes to shop again, as {first.id}." in shown.out


async def test_replay_does_not_wait_for_the_next_attempt(
    cli: Cli, harness: SendHarness, receiver: Receiver
) -> None:
    receiver.answer(500, 500)
    id_ = await message(harness)
    await until(lambda: receiver.calls)
    # The first attempt has failed; the second one follows after 5 s, the third after 30 s more.
    await until(lambda: len(receiver.calls) == 2)
    assert (await cli("callback", "replay", id_)).code == 0
    await until(lambda: len(receiver.calls) == 3, 10)
    assert len(receiver.by_id) == 1


async def test_replay_tells_the_end_of_a_run_that_could_not_tell_it_itself(
    cli: Cli, harness: SendHarness, receiver: Receiver
) -> None:
    id_ = await message(harness, sendAt="2199-01-01T00:00:00Z")
    running_still = await cli("callback", "replay", id_)
    assert running_still.code == 2
    assert "is still running" in running_still.err
    await harness.client.get_workflow_handle(id_).terminate()
    assert receiver.calls == []
    assert (await cli("callback", "replay", id_)).code == 0
    await until(lambda: receiver.calls)
    event = receiver.calls[0].event
    state = await get_state(harness.client, id_)
    assert state.result
    assert event["type"] == "message.failed"
    assert event["data"]["result"] == state.result.model_dump(mode="json", by_alias=True)


async def test_replay_says_what_it_cannot_deliver(cli: Cli, harness: SendHarness) -> None:
    started = await harness.start(message="x")
    no_callback = await cli("callback", "replay", started.id)
    assert no_callback.code == 2
    assert "has no callback" in no_callback.err
    nothing = await cli("callback", "replay", "none", "--json")
    assert (nothing.code, nothing.json["success"]) == (2, False)
    assert "no run has the id none" in nothing.err


async def test_replay_says_that_no_worker_delivers(
    cli: Cli, harness: SendHarness, server: DevServer, worker_on: WorkerOn, file_of: FileOf
) -> None:
    async with running(Receiver()) as receiver, worker_on(**file_of(shop=receiver.url)) as other:
        id_ = await message(other)
        await until(lambda: receiver.calls)
    done = await run_command(
        "callback", "replay", id_, address=server.address, task_queue=f"none-{uuid.uuid4()}"
    )
    assert done.code == 0
    assert "No worker delivers callbacks now" in done.err
    await harness.client.get_workflow_handle(names.callback_id(receiver.calls[0].id)).terminate()
