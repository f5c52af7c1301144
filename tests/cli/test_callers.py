"""Callers on the command line: `list` finds their sends, `status` says who started one, and why."""

import uuid
from pathlib import Path

import pytest
from temporalio.client import Client

from send_whatsapp.client import sends
from send_whatsapp.client.origin import Origin
from send_whatsapp.client.state import get_state
from send_whatsapp.contract.request import SendWhatsAppRequest
from tests.cli.conftest import Cli
from tests.conftest import SendHarness, new_phone, until


async def test_list_shows_callers_and_finds_the_sends_of_one(
    cli: Cli, client: Client, harness: SendHarness
) -> None:
    caller = f"shop-{uuid.uuid4()}"
    request = SendWhatsAppRequest(to=new_phone(), message="x")
    queue, origin = harness.task_queue, Origin(caller=caller)
    started = await sends.start_send(client, request, task_queue=queue, origin=origin)
    await harness.send(message="of nobody")

    async def is_listed() -> bool:
        return bool((await cli("list", "--caller", caller, "--json")).json)

    await until(is_listed)
    (found,) = (await cli("list", "--caller", caller, "--json")).json
    assert (found["id"], found["caller"]) == (started.id, caller)
    assert caller in (await cli("list", "--caller", caller)).out
    assert (await cli("list", "--caller", "nobody-at-all", "--json")).json == []


async def test_status_shows_who_sent_a_message_again_and_why(
    cli: Cli, client: Client, harness: SendHarness
) -> None:
    first = await harness.send(f"k-{uuid.uuid4()}", message="x")
    why = "the customer has lost it"
    done = await cli("resend", first.id, "--force", "--reason", why, "--json")
    assert done.code == 0, done.err
    assert done.json["reason"] == why
    shown = await cli("status", done.json["id"])
    assert f"reason      {why}" in shown.out
    assert f"started by  {done.json['startedBy']}" in shown.out
    assert "@" in done.json["startedBy"]
    assert (await cli("status", first.id, "--json")).json["startedBy"] is None


async def test_status_shows_who_forced_a_message_and_why(
    cli: Cli, client: Client, harness: SendHarness
) -> None:
    key, phone = f"k-{uuid.uuid4()}", new_phone()
    arguments = ("send", "--to", phone, "--message", "x", "--key", key, "--json")
    request = SendWhatsAppRequest(to=phone, message="x")
    await sends.start_send(
        client, request, key=key, task_queue="nobody", origin=Origin(caller="shop")
    )
    await client.get_workflow_handle(key).terminate()
    done = await cli(*arguments, "--force", "--reason", "not in the inbox")
    assert done.code == 0, done.err
    assert done.json["reason"] == "not in the inbox"
    assert done.json["startedBy"]
    # The caller of the gateway still sees its message.
    assert (await get_state(client, key)).origin.caller == "shop"


@pytest.mark.parametrize(
    "arguments",
    [
        ("resend", "some-id", "--reason", " "),
        ("resend", "some-id", "--reason", "x" * 501),
        ("resend", "some-id", "--reason", "two\nlines"),
        ("send", "--to", "+1234567890", "--message", "x", "--reason", "no force"),
        ("batch", "send", "none.csv", "--key", "k", "--reason", "nothing is sent again"),
        ("batch", "retry-failed", "k", "--reason", " "),
    ],
)
async def test_a_wrong_reason_is_refused(cli: Cli, arguments: tuple[str, ...]) -> None:
    refused = await cli(*arguments)
    assert refused.code == 2
    assert "--reason" in refused.err


async def test_batch_status_shows_who_sent_rows_again_and_why(cli: Cli, tmp_path: Path) -> None:
    key, file = f"b-{uuid.uuid4()}", tmp_path / "people.csv"
    file.write_text(f"to,message\n{new_phone()},x\n{new_phone()},y\n")
    wrong = tmp_path / "wrong.csv"
    wrong.write_text(f"to,template\n{new_phone()},none\n")
    assert (await cli("batch", "send", str(wrong), "--key", key)).code == 1
    assert (await cli("batch", "status", key, "--json")).json["startedBy"] is None
    why = "the flow is there now"
    done = await cli("batch", "retry-failed", key, "--reason", why)
    assert done.code == 1, done.err
    shown = await cli("batch", "status", key, "--json")
    assert (shown.json["reason"], "@" in shown.json["startedBy"]) == (why, True)
    assert f"reason      {why}" in (await cli("batch", "status", key)).out
    why = "the inbox does not have them"
    again = ("batch", "send", str(file), "--key", key, "--resend-unknown", "--reason", why)
    assert (await cli(*again)).code == 1
    assert (await cli("batch", "status", key, "--json")).json["reason"] == why
