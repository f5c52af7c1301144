"""What comes after a send: cancel it, send it again, find it, and come back to it."""

import asyncio
import os
import re
import signal
import sys
import uuid
from pathlib import Path

import pytest

from simulator.faults import Fault
from simulator.process import Simulator
from tests.cli.conftest import Cli
from tests.conftest import UI_URL, new_phone, run_command
from tools.dev_server import DevServer

TEXT = ("send", "--message", "x")


def new_key() -> str:
    return f"order-{uuid.uuid4()}"


async def test_a_cancellation_in_time_is_a_success(cli: Cli) -> None:
    key = new_key()
    waiting = (*TEXT, "--to", new_phone(), "--in", "1h", "--no-wait", "--key")
    assert (await cli(*waiting, key)).code == 0
    cancelled = await cli("cancel", key, "--json")
    assert (cancelled.code, cancelled.json["success"]) == (0, True)
    assert (cancelled.json["outcome"], cancelled.json["error"]) == ("cancelled", None)
    assert (await cli(*waiting, f"{key}-2")).code == 0
    shown = await cli("cancel", f"{key}-2")
    assert (shown.out + shown.err).lower().count("nothing was sent") == 1


async def test_an_accepted_message_is_resent_only_by_force(cli: Cli, provider: Simulator) -> None:
    key, phone = new_key(), new_phone()
    assert (await cli(*TEXT, "--to", phone, "--key", key)).code == 0
    refused = await cli("resend", key)
    assert refused.code == 2
    assert "--force" in refused.err
    assert len(await provider.inbox(phone)) == 1
    assert (await cli("resend", key, "--force")).code == 0
    assert len(await provider.inbox(phone)) == 2


async def test_an_id_of_a_batch_leads_to_the_batch_and_to_its_rows(
    cli: Cli, tmp_path: Path, provider: Simulator
) -> None:
    key, phone = f"b {uuid.uuid4()}", new_phone()
    await provider.faults(Fault(route="send_text", phone=phone, status=400))
    file = tmp_path / "people.csv"
    file.write_text(f"to\n{phone}\n{new_phone()}\n")
    assert (await cli("batch", "send", str(file), "--key", key, "--message", "x")).code == 1
    for id_ in (f"batch-{key}", f"batch-{key}·1·0", key):
        status = await cli("status", id_)
        assert status.code == 2
        assert f"send-whatsapp batch status '{key}'" in status.err
    assert "send-whatsapp batch" in (await cli("cancel", f"batch-{key}")).err
    row = await cli("status", f"{key}/{phone}")
    assert row.code == 1
    assert row.out.startswith(f"failed  {key}/{phone}\n  row 2 of the batch {key}\n")
    as_json = (await cli("status", f"{key}/{phone}", "--json")).json
    assert (as_json["batch"], as_json["row"], as_json["outcome"]) == (key, 2, "failed")
    assert (await cli("status", f"{key}/+1")).code == 2


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/Sao_Paulo"])
async def test_times_are_local_with_their_zone_and_utc_in_json(
    cli: Cli, provider: Simulator, zone: str
) -> None:
    await provider.faults(Fault(route="send_text", kind="cut"))
    key = new_key()
    assert (await cli(*TEXT, "--to", new_phone(), "--key", key, "--at-most-once")).code == 3
    unknown = await cli("status", key, TZ=zone)
    name = {"UTC": "UTC", "Asia/Kolkata": "IST", "America/Sao_Paulo": "-03"}[zone]
    assert re.search(rf"sent at \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d {name} or later", unknown.out)
    as_json = (await cli("status", key, "--json", TZ=zone)).json
    assert re.search(r"sent at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", as_json["error"]["message"])
    assert as_json["startedAt"].endswith("+00:00")
    waiting = await cli(*TEXT, "--to", new_phone(), "--in", "1h", "--no-wait", TZ=zone)
    assert re.search(rf"Waiting until \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d {name}, ", waiting.out)


async def test_ctrl_c_says_how_to_come_back(server: DevServer) -> None:
    key = f"order {uuid.uuid4()}"
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("send-whatsapp")), *TEXT, "--to", new_phone()),
        *("--key", key),
        env=os.environ
        | {"TEMPORAL_ADDRESS": server.address, "TEMPORAL_TASK_QUEUE": f"nobody-{key}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    while b"No worker" not in await process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert err.decode().endswith(
        f"The send continues. Check it with: send-whatsapp status '{key}'\n"
    )
    status = await run_command("status", key, address=server.address)
    assert (status.code, "Waiting for a worker." in status.out) == (5, True)


async def test_the_link_to_the_web_ui_is_printed_once(cli: Cli) -> None:
    done = await cli(*TEXT, "--to", new_phone())
    assert (done.out + done.err).count(UI_URL) == 1
