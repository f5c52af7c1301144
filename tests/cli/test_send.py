"""The commands for one message: what they print, and the exit codes they end with."""

import uuid
from datetime import UTC, datetime

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import PauseActivityRequest

from simulator.faults import Fault
from simulator.process import Simulator
from tests.cli.conftest import Cli
from tests.conftest import UI_URL, SendHarness, new_phone, run_command
from tools.dev_server import DevServer

TEXT = ("send", "--message", "x")
TO_TEXT = ("send", "--to", "+1234567890", "--message", "x")
TO_TEMPLATE = ("send", "--to", "+1234567890", "--template", "x")


def new_key() -> str:
    return f"order-{uuid.uuid4()}"


async def test_send_waits_and_prints_the_result(cli: Cli, provider: Simulator) -> None:
    phone = new_phone()
    done = await cli(
        *("send", "--to", phone, "--template", "visa_approved", "--var", "name=John Doe"),
        *("--fallback", "instead", "--json"),
    )
    assert done.code == 0
    assert done.json["success"] is True
    assert done.json["result"]["sentAs"] == "template"
    assert (done.json["status"], done.json["outcome"]) == ("Completed", "accepted")
    assert done.json["uiUrl"].startswith(f"{UI_URL}/namespaces/default/workflows/send-")
    assert [m["text"] for m in await provider.inbox(phone)] == [
        "Dear John Doe, your visa is approved."
    ]


async def test_the_readable_output_never_claims_delivery(cli: Cli) -> None:
    done = await cli("send", "--to", new_phone(), "--message", "x")
    assert done.code == 0
    assert "accepted by the provider, which does not confirm delivery" in done.out
    assert UI_URL in done.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (TEXT, "--to"),
        (("send", "--to", "+1234567890"), "has no content"),
        ((*TO_TEXT, "--file", "y"), "fileUrl"),
        ((*TO_TEXT, "--fallback", "y"), "--fallback"),
        ((*TO_TEMPLATE, "--var", "y"), "name=value"),
        ((*TO_TEMPLATE, "--var", "y=1", "--var=y=2"), "twice"),
        ((*TO_TEXT, "--expires-in", "soon"), "--expires-in"),
        ((*TO_TEXT, "--in", "9999d"), "year"),
        ((*TO_TEXT, "--in", ""), "--in"),
        ((*TO_TEXT, "--in", "10"), "unit"),
        ((*TO_TEXT, "--expires-in", "10"), "unit"),
        ((*TO_TEXT, "--force"), "--key"),
        ((*TO_TEXT, "--at", "0001-01-01T00:00:00+02:00"), "sendAt"),
        ((*TO_TEXT, "--at", "9999-12-31T23:59:59-12:00"), "sendAt"),
        (("resend", "--outcome", "failed", "--force"), "--force"),
        ((*TO_TEXT, "--expires-in", ""), "--expires-in"),
        ((*TO_TEXT, "--in", "1h", "--at", "now"), "one"),
        ((*TO_TEMPLATE, "--fallback=y", "--var=fallback_message=z"), "--fallback"),
        ((*TO_TEXT, "--key", " "), "a key must have"),
        ((*TO_TEXT, "--key", "batch-feb"), "a key must not begin with `batch-`"),
        ((*TO_TEXT, "--key", "webhook:shop:5"), "a key must not begin with `webhook:`"),
        (("send", "--to", "call me", "--message", "x"), "Correct the phone number in --to"),
        (("status", "no-such-run"), "no run has the id"),
        (("frobnicate",), "No such command"),
    ],
)
async def test_a_wrong_command_ends_with_2_and_the_reason(
    cli: Cli, arguments: tuple[str, ...], reason: str
) -> None:
    done = await cli(*arguments)
    assert done.code == 2
    assert reason in done.out + done.err


async def test_with_json_a_wrong_request_is_a_json_error(cli: Cli) -> None:
    done = await cli("send", "--to", "+1234567890", "--json")
    assert done.code == 2
    assert done.json["success"] is False
    assert done.json["error"]["type"] == "InvalidRequest"


async def test_with_json_a_wrong_option_is_a_json_error(cli: Cli) -> None:
    done = await cli(*TO_TEXT, "--expires-in", "soon", "--json")
    assert done.code == 2
    assert done.json["error"]["type"] == "InvalidRequest"
    assert "--expires-in" in done.json["error"]["message"]


async def test_a_failed_send_ends_with_1_and_an_unknown_one_with_3(
    cli: Cli, provider: Simulator
) -> None:
    assert (await cli("send", "--to", new_phone(), "--template", "nothing")).code == 1
    await provider.faults(Fault(route="send_text", kind="cut"))
    key = new_key()
    send = (*TEXT, "--to", new_phone(), "--at-most-once", "--key", key)
    assert (await cli(*send)).code == 3
    assert (await cli("status", key)).code == 3
    again = await cli(*send)
    assert again.code == 3
    assert "--force" in again.err
    await provider.faults()
    assert (await cli(*send, "--force")).code == 0
    assert (await cli(*send)).code == 0


async def test_a_key_with_another_request_is_refused(cli: Cli) -> None:
    key, phone = new_key(), new_phone()
    assert (await cli("send", "--to", phone, "--message", "x", "--key", key)).code == 0
    done = await cli("send", "--to", phone, "--message", "y", "--key", key)
    assert done.code == 2
    assert "another request" in done.err


async def test_status_cancel_and_resend(cli: Cli, provider: Simulator) -> None:
    await provider.faults(Fault(route="find_contact", status=503, headers={"retry-after": "60"}))
    key = new_key()
    started = await cli(*TEXT, "--to", new_phone(), "--key", key, "--no-wait")
    assert started.code == 0
    assert key in started.out
    cancelled = await cli("cancel", key)
    assert cancelled.code == 0
    assert "nothing was sent" in cancelled.err
    status = await cli("status", key, "--json")
    assert status.code == 1
    assert status.json["outcome"] == "cancelled"
    await provider.faults()
    resent = await cli("resend", key, "--json")
    assert resent.code == 0
    assert resent.json["id"] != key
    late = await cli("cancel", resent.json["id"])
    assert late.code == 1
    assert "Too late, it was sent at" in late.err
    late = await cli("cancel", resent.json["id"], "--json")
    assert (late.code, late.json["success"], late.json["outcome"]) == (1, False, "accepted")
    assert late.json["error"]["type"] == "TooLate"


async def test_send_and_status_show_what_a_running_send_waits_for(
    cli: Cli, harness: SendHarness, provider: Simulator
) -> None:
    await provider.faults(Fault(route="send_text", status=503, headers={"retry-after": "60"}))
    key = new_key()
    waited = await cli(*TEXT, "--to", new_phone(), "--key", key, "--timeout", "5")
    assert waited.code == 5
    failure = "could not send the text: HTTP 503"
    for text in (waited.err, waited.out, (await cli("status", key)).out):
        assert "Attempt 2 of 2 to send the text starts at " in text
        assert f"The previous attempt {failure}." in text
    progress = (await cli("status", key, "--json")).json["progress"]
    assert f"The previous attempt {failure}." in progress["said"]
    assert progress["lastFailure"] == failure
    assert datetime.fromisoformat(progress["nextAttemptAt"]) > datetime.now(UTC)
    assert (progress["activity"], progress["attempt"], progress["attempts"]) == ("send_text", 2, 2)
    await harness.client.workflow_service.pause_activity(
        PauseActivityRequest(
            namespace="default", execution=WorkflowExecution(workflow_id=key), id="send"
        )
    )
    paused = (await cli("status", key)).out
    assert "Attempt 2 of 2 to send the text is paused by an operator." in paused
    assert f"To continue, run: temporal activity unpause --workflow-id {key}" in paused
    await harness.client.get_workflow_handle(key).terminate()


async def test_a_delayed_send_shows_when_it_starts(cli: Cli) -> None:
    key = new_key()
    started = await cli(*TEXT, "--to", new_phone(), "--key", key, "--in", "1h", "--no-wait")
    assert "Waiting until " in started.out
    assert (await cli("cancel", key)).code == 0


async def test_a_wait_without_a_worker_gives_a_hint_and_ends_after_its_timeout(
    server: DevServer,
) -> None:
    send = (*TEXT, "--to", new_phone(), "--timeout", "4", "--in", "0s")
    done = await run_command(*send, address=server.address, task_queue=f"nobody-{uuid.uuid4()}")
    assert done.code == 5
    assert "No worker serves" in done.err
    assert "send-whatsapp status send-" in done.err


async def test_the_number_that_was_checked_is_the_one_that_is_sent_to(
    cli: Cli, provider: Simulator
) -> None:
    key = new_key()
    for notation in ("0151 23456789", "+49 (0)151 23456789", "\u00a04915123456789\n"):
        words = (*TEXT, "--to", notation, "--key", key)
        done = await cli(*words, CGB_DEFAULT_REGION="DE")
        assert done.code == 0, done.err
    assert [message["phone"] for message in await provider.inbox()] == ["+4915123456789"]


async def test_something_that_is_not_a_phone_number_starts_no_run(cli: Cli) -> None:
    key = new_key()
    refused = await cli(*TEXT, "--to", "4155552671.0", "--key", key, "--json")
    assert refused.code == 2
    assert refused.json["error"]["type"] == "InvalidPhoneNumber"
    assert (await cli("status", key)).code == 2
