"""What `batch send`, `watch` and `retry-failed` do while a batch cannot end by itself."""

import asyncio
import os
import pty
import sys
import uuid
from pathlib import Path

import pytest

from simulator.faults import Fault
from simulator.process import Simulator
from tests.cli.conftest import Cli
from tests.conftest import SendHarness, new_phone, run_command, until
from tools.dev_server import DevServer

PROGRAM = Path(sys.executable).with_name("send-whatsapp")


def new_key() -> str:
    return f"b-{uuid.uuid4()}"


def people(folder: Path, rows: int) -> str:
    path = folder / "people.csv"
    path.write_text("to,message\n" + "".join(f"{new_phone()},hello\n" for _ in range(rows)))
    return str(path)


async def test_without_a_terminal_a_paused_batch_ends_the_wait_with_5_and_the_next_step(
    cli: Cli, tmp_path: Path, provider: Simulator
) -> None:
    await provider.faults(Fault(route="send_text", status=400))
    key = new_key()
    limits = ("--pause-after", "2", "--rate", "60")
    sent = await cli("batch", "send", people(tmp_path, 60), "--key", key, *limits)
    watched = await cli("batch", "watch", key)
    status = await cli("batch", "status", key)
    await cli("batch", "cancel", key)
    retried = await cli("batch", "retry-failed", key)
    for done in (sent, watched, status, retried):
        assert "The batch is paused: " in done.out
        assert done.out.endswith(f"run: send-whatsapp batch resume {key}\n")
    assert [done.code for done in (sent, watched, status, retried)] == [5, 5, 0, 5]
    as_json = await cli("batch", "watch", key, "--json")
    assert (as_json.code, as_json.json["paused"]) == (5, True)
    assert f"send-whatsapp batch resume {key}" in as_json.err
    await cli("batch", "cancel", key)


async def test_on_a_terminal_a_paused_batch_is_waited_for(
    cli: Cli, server: DevServer, harness: SendHarness, tmp_path: Path
) -> None:
    key = new_key()
    send = ("batch", "send", people(tmp_path, 5), "--key", key, "--rate", "1", "--no-wait")
    assert (await cli(*send)).code == 0
    assert (await cli("batch", "pause", key)).code == 0
    ours, theirs = pty.openpty()
    watch = await asyncio.create_subprocess_exec(
        *(PROGRAM, "batch", "watch", key),
        env=os.environ
        | {"TEMPORAL_ADDRESS": server.address, "TEMPORAL_TASK_QUEUE": harness.task_queue},
        stdout=asyncio.subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""

    async def says_how_to_continue() -> bool:
        nonlocal shown
        shown += await asyncio.to_thread(os.read, ours, 4096)
        return f"batch resume {key}".encode() in shown

    await until(says_how_to_continue)
    assert (await cli("batch", "rate", key, "0")).code == 0
    assert (await cli("batch", "resume", key)).code == 0
    out, _ = await watch.communicate()
    os.close(ours)
    assert (watch.returncode, out) == (0, b"5 of 5: 5 accepted, 0 failed, 0 unknown\n")


@pytest.mark.parametrize("command", ["send", "watch"])
async def test_a_batch_without_a_worker_says_so_and_its_timeout_ends_the_wait(
    server: DevServer, tmp_path: Path, command: str
) -> None:
    key = new_key()
    send: tuple[str, ...] = ("batch", "send", people(tmp_path, 2), "--key", key)
    where = {"address": server.address, "task_queue": f"nobody-{key}"}
    if command == "watch":
        assert (await run_command(*send, "--no-wait", **where)).code == 0
        # The batch's task queue counts, not the one of whoever watches.
        where["task_queue"] = "send-whatsapp"
        send = ("batch", "watch", key)
    done = await run_command(*send, "--timeout", "4", **where)
    assert done.code == 5
    assert f"No worker serves task queue nobody-{key}" in done.err
    assert f"send-whatsapp batch watch {key}" in done.err
    assert done.out == "0 of 2: 0 accepted, 0 failed, 0 unknown\n"
