"""Batches from the command line: every row has one true outcome, and a key never sends twice."""

import csv
import io
import uuid
from pathlib import Path
from typing import Any

import pytest

from send_whatsapp.client import batches
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import CommandResult, SendHarness, run_command, until
from tools.dev_server import DevServer

COUNT = 60


@pytest.fixture
def cli(server: DevServer, harness: SendHarness) -> Any:
    async def call(*arguments: str) -> CommandResult:
        return await run_command(
            "batch", *arguments, address=server.address, task_queue=harness.task_queue
        )

    return call


@pytest.fixture
def people(tmp_path: Path) -> Path:
    start = uuid.uuid4().int % 10**6
    lines = [f"+4915{start:06d}{number:03d},P{number}" for number in range(COUNT)]
    path = tmp_path / "people.csv"
    path.write_text("to,name\n" + "\n".join(lines) + "\n")
    return path


def new_key() -> str:
    return f"b-{uuid.uuid4()}"


async def test_every_row_is_sent_once_and_the_template_is_looked_up_once(
    cli: Any, people: Path, provider: Simulator
) -> None:
    key = new_key()
    arguments = ("send", str(people), "--key", key, "--template", "visa_approved")
    done = await cli(*arguments)
    assert done.code == 0, done.err
    assert f"{COUNT} of {COUNT}: {COUNT} accepted" in done.out
    texts = {m["text"] for m in await provider.inbox()}
    assert texts == {f"Dear P{n}, your visa is approved." for n in range(COUNT)}
    assert len(await provider.requests("list_flows")) == 1
    again = await cli(*arguments, "--json")
    assert again.code == 0
    assert again.json["accepted"] == COUNT
    assert len(await provider.inbox()) == COUNT
    report = list(csv.DictReader(io.StringIO((await cli("report", key)).out)))
    assert [int(row["row"]) for row in report] == list(range(2, COUNT + 2))
    assert {row["outcome"] for row in report} == {"accepted"}


async def test_failed_rows_are_sent_again_by_retry_and_unknown_ones_only_on_request(
    cli: Any, people: Path, provider: Simulator, tmp_path: Path
) -> None:
    key = new_key()
    numbers = [line.split(",")[0] for line in people.read_text().splitlines()[1:]]
    await provider.faults(
        Fault(route="send_text", phone=numbers[0], status=400),
        Fault(route="send_text", phone=numbers[1], kind="cut"),
    )
    people.write_text(people.read_text() + "abc,X\n")
    arguments = ("send", str(people), "--key", key, "--message", "x", "--at-most-once")
    refused = await cli(*arguments)
    assert refused.code == 2
    assert f"line {COUNT + 2}" in refused.err
    assert not await provider.inbox()
    assert (await cli(*arguments, "--dry-run")).code == 2
    done = await cli(*arguments, "--skip-invalid")
    assert done.code == 3, done.err
    status = (await cli("status", key, "--json")).json
    assert (status["accepted"], status["failed"], status["unknown"]) == (COUNT - 2, 2, 1)
    report = {row["row"]: row for row in (await cli("report", key, "--json")).json}
    assert report[2]["errorType"] == "ProviderRejected"
    assert report[3]["errorType"] == "DeliveryUnknown"
    assert report[COUNT + 2]["errorType"] == "InvalidPhoneNumber"
    await provider.faults()
    retried = await cli("retry-failed", key, "--json")
    assert retried.code == 3
    assert retried.json["accepted"] == COUNT - 1
    assert len(await provider.inbox(numbers[1])) == 0
    resent = await cli(*arguments, "--skip-invalid", "--resend-unknown")
    assert resent.code == 1
    assert len(await provider.inbox(numbers[1])) == 1
    assert len(await provider.inbox()) == COUNT
    out = tmp_path / "report.csv"
    assert (await cli("report", key, "--out", str(out))).code == 0
    assert len(out.read_text().splitlines()) == COUNT + 2


async def test_a_refused_api_key_pauses_the_batch_until_it_is_resumed(
    cli: Any, harness: SendHarness, people: Path, provider: Simulator
) -> None:
    key = new_key()
    await provider.faults(Fault(route="find_contact", status=401))
    started = await cli("send", str(people), "--key", key, "--message", "x", "--no-wait", "--json")
    assert started.code == 0
    await until(lambda: _paused(harness, key))
    state = await batches.get_status(harness.client, key)
    assert state.counts.ended < COUNT
    assert "refuses the key" in (state.pause_reason or "")
    assert "is paused" in (await cli("status", key)).out
    await provider.faults()
    assert (await cli("resume", key)).code == 0
    watched = await cli("watch", key, "--json")
    assert watched.code == 1
    # Rows in flight met the refused key as well, but no further row did.
    assert 0 < watched.json["failed"] <= 25
    assert len(await provider.inbox()) == COUNT - watched.json["failed"]
    late = await cli("pause", key)
    assert late.code == 2
    assert "has ended" in late.err


async def test_a_cancelled_batch_reports_the_rows_that_were_not_sent(
    cli: Any, harness: SendHarness, people: Path, provider: Simulator
) -> None:
    key = new_key()
    await provider.faults(
        Fault(route="send_text", status=429, headers={"retry-after": "60"}, skip=5)
    )
    await cli("send", str(people), "--key", key, "--message", "x", "--no-wait")
    await until(lambda: _arrived(provider, 5))
    assert (await cli("pause", key)).code == 0
    cancelled = await cli("cancel", key, "--json")
    assert cancelled.code == 0
    assert (cancelled.json["accepted"], cancelled.json["cancelled"]) == (5, COUNT - 5)
    await provider.faults()
    assert (await cli("send", str(people), "--key", key, "--message", "x")).code == 0
    assert len(await provider.inbox()) == COUNT


@pytest.mark.parametrize(
    ("second", "code"),
    [("+1 (415) 555-2671,", 2), ("4155552671,own", 2), ("+14155552672,", 0)],
)
async def test_two_rows_for_one_person_are_refused(
    cli: Any, tmp_path: Path, provider: Simulator, second: str, code: int
) -> None:
    file = tmp_path / "two.csv"
    file.write_text(f"to,key\n+14155552671,\n{second}\n")
    done = await cli("send", str(file), "--key", new_key(), "--message", "x")
    assert done.code == code
    if code == 2:
        assert "lines 2 and 3" in done.err
        for keep in ("first", "last"):
            merged = await cli(
                *("send", str(file), "--key", new_key(), "--message", keep, "--duplicates", keep)
            )
            assert merged.code == 0
        assert len(await provider.inbox()) == 2


async def test_a_batch_or_file_that_does_not_exist_is_exit_code_2(cli: Any) -> None:
    assert (await cli("status", new_key())).code == 2
    assert (await cli("send", "no-such-file.csv", "--key", "k")).code == 2
    assert (await cli("send", "no-such-file.csv", "--key", "x" * 150)).code == 2


async def _paused(harness: SendHarness, key: str) -> bool:
    return (await batches.get_status(harness.client, key)).paused


async def _arrived(provider: Simulator, count: int) -> bool:
    return len(await provider.inbox()) == count
