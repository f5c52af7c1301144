"""The command line, as a process: exit codes, JSON alone on standard output, no traceback."""

import asyncio
import os
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import PauseActivityRequest

from send_whatsapp.client.state import get_state
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import (
    UI_URL,
    CommandResult,
    SendHarness,
    WorkerOn,
    new_phone,
    run_command,
    until,
)
from tools.dev_server import DevServer, free_port

_TEXT = ("send", "--message", "x")


@pytest.fixture
def cli(server: DevServer, harness: SendHarness) -> Any:
    async def call(*words: str, **variables: str) -> CommandResult:
        return await run_command(
            *words, address=server.address, task_queue=harness.task_queue, **variables
        )

    return call


async def test_a_send_waits_and_prints_the_result(cli: Any, provider: Simulator) -> None:
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


async def test_a_readable_send_never_claims_delivery(cli: Any) -> None:
    done = await cli("send", "--to", new_phone(), "--message", "x")
    assert done.code == 0
    assert "accepted by the provider, which is not yet delivered" in done.out
    assert UI_URL in done.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("send", "--message", "x"), "--to"),
        (("send", "--to", "+1234567890"), "has no content"),
        (("send", "--to", "+1234567890", "--message", "x", "--file", "y"), "fileUrl"),
        (("send", "--to", "+1234567890", "--message", "x", "--fallback", "y"), "--fallback"),
        (("send", "--to", "+1234567890", "--template", "x", "--var", "y"), "name=value"),
        (
            ("send", "--to", "+1234567890", "--template", "x", "--var", "y=1", "--var=y=2"),
            "twice",
        ),
        (("send", "--to", "+1234567890", "--message", "x", "--expires-in", "soon"), "--expires-in"),
        (("send", "--to", "+1234567890", "--message", "x", "--in", "9999d"), "year"),
        (("send", "--to", "+1234567890", "--message", "x", "--in", ""), "--in"),
        (("send", "--to", "+1234567890", "--message", "x", "--expires-in", ""), "--expires-in"),
        (("send", "--to", "+1234567890", "--message", "x", "--in", "1h", "--at", "now"), "one"),
        (
            (
                *("send", "--to", "+1234567890", "--template", "x"),
                "--fallback=y",
                "--var=fallback_message=z",
            ),
            "--fallback",
        ),
        (("send", "--to", "+1234567890", "--message", "x", "--key", " "), "a key has"),
        (("send", "--to", "call me", "--message", "x"), "InvalidPhoneNumber"),
        (("status", "no-such-run"), "no run has the id"),
        (("frobnicate",), "No such command"),
    ],
)
async def test_a_wrong_command_ends_with_2_and_says_why(
    cli: Any, words: tuple[str, ...], says: str
) -> None:
    done = await cli(*words)
    assert done.code == 2
    assert says in done.out + done.err


async def test_the_error_of_a_wrong_request_is_json_where_asked_for(cli: Any) -> None:
    done = await cli("send", "--to", "+1234567890", "--json")
    assert done.code == 2
    assert done.json["success"] is False
    assert done.json["error"]["type"] == "InvalidRequest"


async def test_a_failed_send_ends_with_1_and_an_unknown_one_with_3(
    cli: Any, provider: Simulator
) -> None:
    assert (await cli("send", "--to", new_phone(), "--template", "nothing")).code == 1
    await provider.faults(Fault(route="send_text", kind="cut"))
    one = f"order-{uuid.uuid4()}"
    words = ("send", "--to", new_phone(), "--message", "x", "--at-most-once", "--key", one)
    assert (await cli(*words)).code == 3
    assert (await cli("status", one)).code == 3
    again = await cli(*words)
    assert again.code == 3
    assert "--force" in again.err
    await provider.faults()
    assert (await cli(*words, "--force")).code == 0
    assert (await cli(*words)).code == 0


async def test_another_body_under_one_key_is_refused(cli: Any) -> None:
    one, phone = f"order-{uuid.uuid4()}", new_phone()
    assert (await cli("send", "--to", phone, "--message", "x", "--key", one)).code == 0
    done = await cli("send", "--to", phone, "--message", "y", "--key", one)
    assert done.code == 2
    assert "another request" in done.err


async def test_status_cancel_and_resend(
    cli: Any, harness: SendHarness, provider: Simulator
) -> None:
    await provider.faults(Fault(route="find_contact", status=503, headers={"retry-after": "60"}))
    one = f"order-{uuid.uuid4()}"
    begun = await cli("send", "--to", new_phone(), "--message", "x", "--key", one, "--no-wait")
    assert begun.code == 0
    assert one in begun.out
    cancelled = await cli("cancel", one)
    assert cancelled.code == 0
    assert "nothing was sent" in cancelled.err
    status = await cli("status", one, "--json")
    assert status.code == 1
    assert status.json["outcome"] == "cancelled"
    await provider.faults()
    resent = await cli("resend", one, "--json")
    assert resent.code == 0
    assert resent.json["id"] != one
    late = await cli("cancel", resent.json["id"])
    assert late.code == 1
    assert "Too late, it was sent at" in late.err


async def test_a_running_send_says_what_it_waits_for(
    cli: Any, harness: SendHarness, provider: Simulator
) -> None:
    """Retry, pause and start delay, to who asks and to who waits."""
    await provider.faults(Fault(route="send_text", status=503, headers={"retry-after": "60"}))
    one = f"order-{uuid.uuid4()}"
    waited = await cli(*_TEXT, "--to", new_phone(), "--key", one, "--timeout", "5")
    assert waited.code == 5
    why = "the one before could not send the text: HTTP 503"
    for text in (waited.err, waited.out, (await cli("status", one)).out):
        assert "waits to send the text: attempt 2 of 2 at " in text
        assert why in text
    progress = (await cli("status", one, "--json")).json["progress"]
    assert progress["lastFailure"] == why.removeprefix("the one before ")
    assert datetime.fromisoformat(progress["nextAttemptAt"]) > datetime.now(UTC)
    assert (progress["activity"], progress["attempt"], progress["attempts"]) == ("send_text", 2, 2)
    await harness.client.workflow_service.pause_activity(
        PauseActivityRequest(
            namespace="default", execution=WorkflowExecution(workflow_id=one), id="send"
        )
    )
    paused = (await cli("status", one)).out
    assert (
        f"paused by an operator, to go on: temporal activity unpause --workflow-id {one}" in paused
    )
    await harness.client.get_workflow_handle(one).terminate()
    later = f"order-{uuid.uuid4()}"
    begun = await cli(*_TEXT, "--to", new_phone(), "--key", later, "--in", "1h", "--no-wait")
    assert "waits until " in begun.out
    assert (await cli("cancel", later)).code == 0


@pytest.mark.parametrize("words", [(), ("send",), ("status",), ("list",), ("cancel",), ("resend",)])
async def test_help_has_an_example(words: tuple[str, ...]) -> None:
    done = await run_command(*words, "--help", address="unused")
    assert done.code == 0
    assert "Usage: send-whatsapp" in done.out
    assert not words or f"Example: send-whatsapp {words[0]} " in done.out


async def test_the_shell_completes_commands_and_outcomes() -> None:
    typed = {"COMP_WORDS": "send-whatsapp list --outcome un", "COMP_CWORD": "3"}
    done = await run_command(address="unused", _SEND_WHATSAPP_COMPLETE="complete_bash", **typed)
    assert done.out.split() == ["unknown"]


async def test_a_wait_without_a_worker_says_so_and_ends_by_its_timeout(server: DevServer) -> None:
    words = ("send", "--to", new_phone(), "--message", "x", "--timeout", "4", "--in", "0s")
    done = await run_command(*words, address=server.address, task_queue=f"nobody-{uuid.uuid4()}")
    assert done.code == 5
    assert "No worker serves" in done.err
    assert "send-whatsapp status send-" in done.err


async def test_without_temporal_every_command_ends_with_4() -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    done = await run_command("status", "x", "--json", address=nowhere)
    assert done.code == 4
    assert done.json["error"]["type"] == "TemporalUnavailable"
    assert nowhere in done.err


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("LOG_LEVEL", "loud", 2),
        ("TEMPORAL_ADDRESS", "127.0.0.1:99999", 2),
        ("TEMPORAL_PROFILE", "nope", 2),
        ("TEMPORAL_TLS_CLIENT_CERT_PATH", "nope.pem", 2),
        ("TEMPORAL_NAMESPACE", "nope", 4),
    ],
)
@pytest.mark.parametrize("words", [("status", "x"), ("list",), (*_TEXT, "--to", "+1234567890")])
async def test_a_wrong_setting_of_a_starter_is_named(
    cli: Any, words: tuple[str, ...], variable: str, value: str, code: int
) -> None:
    done = await cli(*words, "--json", **{variable: value})
    assert done.code == code
    assert variable in done.json["error"]["message"]


async def test_a_wrong_command_line_is_json_where_asked_for(cli: Any) -> None:
    done = await cli("send", "--message", "x", "--json")
    assert done.code == 2
    assert done.json["error"]["type"] == "InvalidRequest"
    assert "--to" in done.err


async def test_an_argument_that_is_no_text_ends_with_2(cli: Any) -> None:
    done = await cli("status", os.fsdecode(b"a\xff"))
    assert done.code == 2
    assert "UTF-8" in done.err


async def test_the_list_tells_how_each_run_stands(
    cli: Any, harness: SendHarness, provider: Simulator
) -> None:
    template = f"none {uuid.uuid4()}"
    failed = await harness.send(template=template)
    fallback = await harness.send(template=template, message="instead")
    # Leaves enough time between two attempts for what a test does to the run.
    later = {"retry-after": "60"}
    await provider.faults(Fault(route="send_text", status=503, headers=later))
    unknown = await harness.start(template=template, message="instead")
    await until(lambda: _asked(provider))
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
    # Visibility comes a moment after the fact.
    async with asyncio.timeout(30):
        while True:
            rows = (await cli("list", "--json", "--limit", "500")).json
            found = {
                r["id"]: (r["status"], r["outcome"], r["template"])
                for r in rows
                if r["id"] in expected
            }
            if found == expected:
                break
    by_template = (await cli("list", "--json", "--template", template)).json
    assert {r["id"] for r in by_template} == set(expected) - {malformed.id}
    of_template = ("list", "--template", template, "--since", "1h")
    only = (await cli(*of_template, "--outcome", "unknown", "--json")).json
    assert [r["id"] for r in only] == [unknown.id]
    table = (await cli("list", "--template", template)).out
    for listed in set(expected) - {malformed.id}:
        assert f"{UI_URL}/namespaces/default/workflows/{listed}/" in table
    await harness.client.get_workflow_handle(running.id).terminate()


async def test_a_run_without_search_attributes_is_listed_too(
    worker_on: WorkerOn, server: DevServer
) -> None:
    async with worker_on(search_attributes=False) as harness:
        state = await harness.send(template="nothing like it", message="x")
    async with asyncio.timeout(30):
        while True:
            rows = (await run_command("list", "--json", address=server.address)).json
            found = [r for r in rows if r["id"] == state.id]
            if found:
                break
    assert found[0]["outcome"] == "accepted"
    assert found[0]["template"] == "nothing like it"


async def test_the_doctor_finds_everything_well(cli: Any, provider: Simulator) -> None:
    done = await cli(
        "doctor",
        CGB_API_URL=provider.url,
        CGB_API_KEY=provider.key,
        CGB_TEMPLATE_X="1752250957765",
    )
    assert done.code == 0, done.out
    assert "wrong" not in done.out


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, "CGB_API_KEY is not set"),
        ({"CGB_API_KEY": "bad"}, "refused"),
        ({"CGB_API_KEY": "demo-key", "CGB_TEMPLATE_X": "5"}, "no flow 5"),
        ({"CGB_API_KEY": "demo-key", "CGB_TIMOUT": "5"}, "CGB_TIMEOUT"),
        ({"CGB_API_KEY": "demo-key", "TEMPORAL_TASK_QUEUE": "nobody"}, "make worker"),
        ({"CGB_API_KEY": "demo-key", "TEMPORAL_ADDRESS": "127.0.0.1:1"}, "Temporal does not"),
        ({"CGB_API_KEY": "demo-key", "CGB_API_URL": "http://127.0.0.1:1"}, "CGB_API_URL"),
    ],
)
async def test_the_doctor_says_what_is_wrong(
    cli: Any, provider: Simulator, variables: dict[str, str], says: str
) -> None:
    done = await cli("doctor", **({"CGB_API_URL": provider.url} | variables))
    assert done.code == 4
    assert says in done.out


async def _asked(provider: Simulator) -> bool:
    return len(await provider.requests("send_text")) >= 2
