"""The Temporal CLI, schedules and TypeScript, as docs/starters.md shows them, run for real."""

import asyncio
import json
import os
import re
import shlex
import shutil
import sys
import uuid
from pathlib import Path

import pytest
from temporalio.client import Client

from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import ROOT, SendHarness, WorkerOn, new_phone, require_program, until
from tools.dev_server import DevServer
from tools.temporal_cli import INSTALLED

TYPESCRIPT = ROOT / "examples" / "typescript"
DOCUMENT = (ROOT / "docs" / "starters.md").read_text()
BLOCKS = [block.strip().splitlines() for block in re.findall(r"```sh\n(.*?)```", DOCUMENT, re.S)]


async def command(*words: str, cwd: Path = ROOT, **variables: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=cwd,
        env=os.environ | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(100):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def documented(lines: list[str], harness: SendHarness, phone: str) -> list[str]:
    """Run lines of the document with ids, queue and number of this test; return what they say."""
    mark = uuid.uuid4().hex
    outputs = []
    for line in lines:
        line = line.replace("+1234567890", phone)
        line = line.replace("--task-queue send-whatsapp", f"--task-queue {harness.task_queue}")
        line = re.sub(r"order-\d+|morning-reminder", rf"\g<0>-{mark}", line)
        words = shlex.split(line)
        assert words[0] == "temporal"
        address = harness.client.service_client.config.target_host
        code, out, err = await command(str(INSTALLED), *words[1:], "--address", address)
        assert code == 0, err
        outputs.append(out)
    return outputs


async def test_the_temporal_cli_sends_as_documented(
    harness: SendHarness, provider: Simulator
) -> None:
    phone = new_phone()
    outputs = await documented(BLOCKS[0], harness, phone)
    assert "COMPLETED" in outputs[0]
    assert '"success":true' in outputs[2].replace(" ", "").replace("\n", "")
    assert len(await provider.inbox(phone)) == 2


async def test_the_temporal_cli_schedules_as_documented(
    harness: SendHarness, provider: Simulator
) -> None:
    phone = new_phone()
    create, trigger, describe, delete = BLOCKS[1]
    # One block of names: what is created is triggered, described and deleted.
    outputs = await documented([create, trigger, describe, delete], harness, phone)
    assert "Europe/Berlin" in outputs[2]
    await until(lambda: _arrived(provider, phone))


async def test_the_reminder_in_python_sends_when_it_is_triggered(
    worker_on: WorkerOn, client: Client, provider: Simulator, server: DevServer
) -> None:
    code, out, err = await command(
        sys.executable, "-m", "examples.reminder", TEMPORAL_ADDRESS=server.address
    )
    assert (code, err) == (0, "")
    assert re.search(r"at \d{4}-\d\d-\d\dT0[78]:00:00\+00:00", out)
    handle = client.get_schedule_handle("python-reminder")
    try:
        async with worker_on(TEMPORAL_TASK_QUEUE="send-whatsapp"):
            await handle.trigger()
            await until(lambda: _arrived(provider, "+1234567890"))
    finally:
        await handle.delete()


@pytest.fixture(scope="module")
async def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, installed and built in a folder of its own beside the schema."""
    require_program("npm")
    root = tmp_path_factory.mktemp("typescript")
    copy = root / "examples" / "typescript"
    shutil.copytree(TYPESCRIPT, copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
    shutil.copytree(ROOT / "docs" / "schema", root / "docs" / "schema")
    code, _, err = await command("npm", "ci", "--no-audit", "--no-fund", cwd=copy)
    if code != 0 and not os.environ.get("CI"):
        pytest.skip(f"npm reaches no packages: {err[-500:]}")
    assert code == 0, err
    for script in ("types", "build"):
        code, out, _ = await command("npm", "run", script, cwd=copy)
        assert code == 0, out
    return copy


def test_the_generated_types_are_current(typescript: Path) -> None:
    names = {path.name for path in (TYPESCRIPT / "src" / "contract").iterdir()}
    assert names == {path.name for path in (typescript / "src" / "contract").iterdir()}
    for name in names:
        made, kept = (
            (folder / "src" / "contract" / name).read_text() for folder in (typescript, TYPESCRIPT)
        )
        assert made == kept, "run `make generate` and `npm run types`"


def test_the_lock_file_names_no_registry() -> None:
    packages = json.loads((TYPESCRIPT / "package-lock.json").read_text())["packages"]
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert all("integrity" in package for name, package in packages.items() if name)


async def test_typescript_sends_once_for_a_key_and_knows_each_failure(
    typescript: Path, harness: SendHarness, provider: Simulator, server: DevServer
) -> None:
    variables = {"TEMPORAL_ADDRESS": server.address, "TEMPORAL_TASK_QUEUE": harness.task_queue}

    async def send(key: str, **fields: str) -> tuple[int | None, str, str]:
        request = json.dumps({"message": "x"} | fields)
        return await command("node", "dist/send.js", key, request, cwd=typescript, **variables)

    phone, one = new_phone(), f"ts-{uuid.uuid4()}"
    for _ in range(2):
        code, out, err = await send(one, to=phone)
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


async def _arrived(provider: Simulator, phone: str) -> bool:
    return len(await provider.inbox(phone)) == 1
