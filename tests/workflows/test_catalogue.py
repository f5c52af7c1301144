"""A listed template needs exactly its variables, whoever starts the send."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError

from send_whatsapp.contract.names import SEND_WORKFLOW
from simulator.process import Simulator
from tests.conftest import (
    ROOT,
    SendHarness,
    WorkerOn,
    error_type,
    new_phone,
    run_command,
    send_error,
    succeeded,
)
from tests.gateway.conftest import gateway
from tools.dev_server import DevServer

BOTH = {"name": "Ada", "reference": "V-17"}
CASES = [
    pytest.param({"name": "Ada"}, "variables.reference is missing", id="missing"),
    pytest.param({}, "variables.reference is missing", id="none"),
    pytest.param(BOTH | {"age": 7}, "variables.age is not a variable", id="additional"),
]


@pytest.fixture
async def harness(worker_on: WorkerOn) -> AsyncIterator[SendHarness]:
    """Return a worker with the example catalogue."""
    async with worker_on(TEMPLATES_FILE=str(ROOT / "examples" / "templates.yaml")) as running:
        yield running


@pytest.mark.parametrize(("variables", "problem"), CASES)
@pytest.mark.parametrize("more", [{}, {"message": "Hello"}], ids=["alone", "fallback"])
async def test_wrong_variables_are_refused_before_any_call(
    harness: SendHarness,
    provider: Simulator,
    variables: dict[str, Any],
    problem: str,
    more: dict[str, str],
) -> None:
    state = await harness.send(template="Visa-Approved", variables=variables, **more)
    assert error_type(state) == "InvalidRequest"
    assert problem in send_error(state).message
    assert await provider.requests() == []


@pytest.mark.parametrize(
    ("template", "variables"),
    [
        ("visa_approved", BOTH),
        ("visa_approved", BOTH | {"fallback_message": "Approved"}),
        ("document request", {"document": "your passport"}),
    ],
)
async def test_the_listed_variables_are_sent(
    harness: SendHarness, template: str, variables: dict[str, str]
) -> None:
    assert (
        succeeded(await harness.send(template=template, variables=variables)).sent_as == "template"
    )


async def test_a_template_that_is_not_listed_takes_any_variables(
    harness: SendHarness, provider: Simulator
) -> None:
    assert succeeded(await harness.send(template="welcome_old_customer", variables={"x": 1}))


async def test_the_flow_of_an_entry_is_used_without_a_lookup(
    harness: SendHarness, provider: Simulator
) -> None:
    result = succeeded(await harness.send(template="VISA approved", variables=BOTH))
    assert result.flow_id == "1752250957765"
    assert await provider.requests("list_flows") == []


async def test_a_configured_flow_wins_over_the_catalogue(
    worker_on: WorkerOn,
) -> None:
    file = str(ROOT / "examples" / "templates.yaml")
    async with worker_on(TEMPLATES_FILE=file, CGB_TEMPLATE_VISA_APPROVED="1752250957766") as other:
        result = succeeded(await other.send(template="visa_approved", variables=BOTH))
    assert result.flow_id == "1752250957766"


@pytest.mark.parametrize("hours", [None, 1], ids=["now", "later"])
async def test_a_start_from_another_sdk_is_refused_at_once(
    client: Client, harness: SendHarness, provider: Simulator, hours: int | None
) -> None:
    send_at = (datetime.now(UTC) + timedelta(hours=hours)).isoformat() if hours else None
    template = {"template": "visa_approved", "variables": {"name": "Ada"}}
    body = {"to": new_phone(), "sendAt": send_at, **template}
    with pytest.raises(WorkflowFailureError) as failed:
        await client.execute_workflow(
            SEND_WORKFLOW, body, id=new_phone(), task_queue=harness.task_queue
        )
    assert getattr(failed.value.cause, "type", None) == "InvalidRequest"
    assert "variables.reference" in str(failed.value.cause)
    assert await provider.requests() == []


async def test_the_command_line_reports_the_refusal_with_code_2(
    server: DevServer, harness: SendHarness
) -> None:
    done = await run_command(
        *("send", "--to", new_phone(), "--template", "visa_approved", "--var", "name=Ada"),
        "--json",
        address=server.address,
        task_queue=harness.task_queue,
    )
    assert done.code == 2
    assert done.json["error"]["type"] == "InvalidRequest"
    assert "variables.reference" in done.json["error"]["message"]


async def test_the_gateway_reports_the_refusal(client: Client, harness: SendHarness) -> None:
    body = {"to": new_phone(), "template": "visa_approved", "variables": {"name": "Ada"}}
    async with gateway(client, harness.task_queue) as http:
        answer = await http.post("/v1/messages", json=body, headers={"Prefer": "wait=20"})
    assert answer.json()["status"] == "failed"
    assert answer.json()["result"]["error"]["type"] == "InvalidRequest"


def csv_file(folder: Path) -> str:
    lines = ["to,name,reference", f"{new_phone()},Ada,V-17", f"{new_phone()},Bob,"]
    file = folder / "people.csv"
    file.write_text("\n".join(lines))
    return str(file)


@pytest.mark.parametrize("per_minute", [None, "100000"], ids=["groups", "single"])
async def test_a_row_without_a_listed_variable_fails_and_the_others_go_out(
    server: DevServer,
    worker_on: WorkerOn,
    provider: Simulator,
    tmp_path: Path,
    per_minute: str | None,
) -> None:
    variables = {"TEMPLATES_FILE": str(ROOT / "examples" / "templates.yaml")}
    if per_minute:
        variables["CGB_MAX_REQUESTS_PER_MINUTE"] = per_minute
    async with worker_on(**variables) as harness:
        done = await run_command(
            *("batch", "send", csv_file(tmp_path), "--key", f"cat-{new_phone()}"),
            *("--template", "visa_approved", "--empty-cells", "skip", "--json"),
            address=server.address,
            task_queue=harness.task_queue,
        )
    assert done.code == 1
    assert (done.json["accepted"], done.json["failed"]) == (1, 1)
    assert [message["text"] for message in await provider.inbox()] == [
        "Dear Ada, your visa is approved."
    ]
