"""The command `list`: every send with its true outcome."""

import asyncio
import uuid

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


async def _two_texts_requested(provider: Simulator) -> bool:
    return len(await provider.requests("send_text")) >= 2
