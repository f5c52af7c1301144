"""The starters in docs/starters.md and examples/ send as the page says."""

import json
import os
import re
import shlex
import shutil
import uuid
from pathlib import Path

import pytest
from temporalio.client import Client

from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import ROOT, SendHarness, WorkerOn, new_phone, require_program, until
from tests.docs.conftest import Page
from tests.examples.conftest import Finished, has_arrived, run, run_python
from tools.dev_server import DevServer, free_port
from tools.temporal_cli import INSTALLED

TYPESCRIPT = ROOT / "examples" / "typescript"
STARTERS = Page.read(ROOT / "docs" / "starters.md")


async def documented(kind: str, harness: SendHarness, phone: str) -> list[str]:
    """Run the page's `temporal` commands of a kind and return their outputs.

    Ids, task queue, phone number and address are replaced by those of this test.
    """
    mark = uuid.uuid4().hex
    outputs = []
    for command in STARTERS.commands:
        if not command.startswith(f"temporal {kind} "):
            continue
        command = command.replace("+1234567890", phone)
        command = command.replace(
            "--task-queue send-whatsapp", f"--task-queue {harness.task_queue}"
        )
        command = re.sub(r"order-\d+|morning-reminder", rf"\g<0>-{mark}", command)
        address = harness.client.service_client.config.target_host
        done = await run(str(INSTALLED), *shlex.split(command)[1:], "--address", address)
        assert done.code == 0, done.err
        outputs.append(done.out)
    return outputs


async def test_the_temporal_cli_sends_as_documented(
    harness: SendHarness, provider: Simulator
) -> None:
    phone = new_phone()
    outputs = await documented("workflow", harness, phone)
    assert "COMPLETED" in outputs[0]
    assert '"success":true' in outputs[2].replace(" ", "").replace("\n", "")
    assert len(await provider.inbox(phone)) == 2


async def test_the_temporal_cli_schedules_as_documented(
    harness: SendHarness, provider: Simulator
) -> None:
    phone = new_phone()
    _, _, description, _ = await documented("schedule", harness, phone)
    assert "Europe/Berlin" in description
    await until(lambda: has_arrived(provider, phone))


@pytest.mark.parametrize(
    ("fault", "printed"),
    [
        (None, "Accepted at 2"),
        (Fault(route="send_text", status=400), "Not sent: ProviderRejected"),
        (Fault(route="send_text", status=204, body=""), "Look for it in the provider's inbox"),
    ],
)
async def test_the_python_example_handles_each_end(
    harness: SendHarness,
    provider: Simulator,
    server: DevServer,
    fault: Fault | None,
    printed: str,
) -> None:
    [example] = re.findall(r"```python\n(.*?)```", STARTERS.text, re.DOTALL)
    example = example.replace("order-4716", f"order-{uuid.uuid4()}")
    example = example.replace("key=", f'task_queue="{harness.task_queue}", key=')
    if fault:
        await provider.faults(fault)
    done = await run_python("-c", example, variables={"TEMPORAL_ADDRESS": server.address})
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(printed)


async def test_the_reminder_in_python_sends_when_it_is_triggered(
    worker_on: WorkerOn, client: Client, provider: Simulator, server: DevServer
) -> None:
    code, out, err = await run_python(
        "-m", "examples.reminder", variables={"TEMPORAL_ADDRESS": server.address}
    )
    assert (code, err) == (0, "")
    assert re.search(r"at \d{4}-\d\d-\d\dT0[78]:00:00\+00:00", out)
    code, again, err = await run_python(
        "-m", "examples.reminder", variables={"TEMPORAL_ADDRESS": server.address}
    )
    assert (code, err) == (0, "")
    assert "temporal schedule delete --schedule-id python-reminder" in again
    assert again.endswith(out)
    handle = client.get_schedule_handle("python-reminder")
    try:
        async with worker_on(TEMPORAL_TASK_QUEUE="send-whatsapp"):
            await handle.trigger()
            await until(lambda: has_arrived(provider, "+1234567890"))
    finally:
        await handle.delete()


async def test_the_reminder_names_a_server_that_does_not_answer() -> None:
    nowhere = {"TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}"}
    code, out, err = await run_python("-m", "examples.reminder", variables=nowhere)
    assert (code, out) == (1, "")
    assert err.startswith("Temporal does not answer at 127.0.0.1:")
    assert err.count("\n") == 1


@pytest.fixture(scope="module")
async def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the example, installed and built in a copy beside the schema."""
    require_program("npm")
    root = tmp_path_factory.mktemp("typescript")
    copy = root / "examples" / "typescript"
    shutil.copytree(TYPESCRIPT, copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
    shutil.copytree(ROOT / "docs" / "schema", root / "docs" / "schema")
    code, _, err = await run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=copy)
    if code != 0 and not os.environ.get("CI"):
        pytest.skip(f"npm reaches no packages: {err[-500:]}")
    assert code == 0, err
    for script in ("types", "build"):
        code, out, _ = await run("npm", "run", script, cwd=copy)
        assert code == 0, out
    return copy


def test_the_generated_types_are_current(typescript: Path) -> None:
    names = {path.name for path in (TYPESCRIPT / "src" / "contract").iterdir()}
    assert names == {path.name for path in (typescript / "src" / "contract").iterdir()}
    for name in names:
        generated, committed = (
            (folder / "src" / "contract" / name).read_text() for folder in (typescript, TYPESCRIPT)
        )
        assert generated == committed, "run `make generate` and `npm run types`"


def test_the_lock_file_names_no_registry() -> None:
    packages = json.loads((TYPESCRIPT / "package-lock.json").read_text())["packages"]
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert all("integrity" in package for name, package in packages.items() if name)


async def test_typescript_sends_once_per_key_and_handles_each_failure(
    typescript: Path, harness: SendHarness, provider: Simulator, server: DevServer
) -> None:
    variables = {"TEMPORAL_ADDRESS": server.address, "TEMPORAL_TASK_QUEUE": harness.task_queue}

    async def send(key: str, **fields: str) -> Finished:
        request = json.dumps({"message": "x"} | fields)
        return await run("node", "dist/send.js", key, request, cwd=typescript, variables=variables)

    phone, key = new_phone(), f"ts-{uuid.uuid4()}"
    for _ in range(2):
        code, out, err = await send(key, to=phone)
        assert (code, err) == (0, "")
        assert json.loads(out)["to"] == phone
    assert len(await provider.inbox(phone)) == 1

    code, _, err = await send(f"ts-{uuid.uuid4()}", to="call me")
    assert (code, err.split(":")[0]) == (2, "InvalidPhoneNumber")
    await provider.faults(Fault(route="send_text", status=400))
    code, _, err = await send(f"ts-{uuid.uuid4()}", to=phone)
    assert (code, err.split(":")[0]) == (1, "ProviderRejected")
    await provider.faults(Fault(route="send_text", kind="cut"))
    code, _, err = await send(f"ts-{uuid.uuid4()}", to=phone, delivery="at_most_once")
    assert (code, err.split(":")[0]) == (3, "DeliveryUnknown")


async def test_typescript_names_a_server_that_does_not_answer_and_a_wrong_request(
    typescript: Path,
) -> None:
    async def send(request: str) -> Finished:
        nowhere = {"TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}"}
        return await run("node", "dist/send.js", "k", request, cwd=typescript, variables=nowhere)

    code, out, err = await send('{"to": "+1234567890", "message": "x"}')
    assert (code, out, err.count("\n")) == (4, "", 1)
    assert "correct TEMPORAL_ADDRESS" in err
    code, out, err = await send("{")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "not valid JSON" in err
