"""Reports and the list of batches: what the files hold, and what cannot be written."""

import asyncio
import csv
import io
import os
import sys
import uuid
from pathlib import Path

import openpyxl
import pytest

from simulator.faults import Fault
from simulator.process import Simulator
from tests.cli.conftest import Cli
from tests.conftest import new_phone, run_command, until
from tools.dev_server import DevServer

PROGRAM = Path(sys.executable).with_name("send-whatsapp")


async def sent(cli: Cli, folder: Path, provider: Simulator) -> tuple[str, list[str]]:
    """Return the key and the numbers of a batch: accepted, refused, not a number."""
    key, phones = f"b-{uuid.uuid4()}", [new_phone(), new_phone(), "=1+1"]
    await provider.faults(Fault(route="send_text", phone=phones[1], status=400))
    file = folder / "people.csv"
    file.write_text("to\n" + "\n".join(phones))
    words = ("--key", key, "--message", "x", "--skip-invalid", "--rate", "0")
    assert (await cli("batch", "send", str(file), *words)).code == 1
    return key, phones


async def test_reports_hold_numbers_as_they_are(
    cli: Cli, tmp_path: Path, provider: Simulator
) -> None:
    key, phones = await sent(cli, tmp_path, provider)
    printed = await cli("batch", "report", key)
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert [row["to"] for row in rows] == phones
    assert [row["outcome"] for row in rows] == ["accepted", "failed", "failed"]

    as_csv = tmp_path / "report.csv"
    assert (await cli("batch", "report", key, "--out", str(as_csv))).out == ""
    assert as_csv.read_bytes() == b"\xef\xbb\xbf" + printed.out.encode()

    as_excel = tmp_path / "report.XLSX"
    assert (await cli("batch", "report", key, "--out", str(as_excel))).code == 0
    header, *cells = openpyxl.load_workbook(as_excel).worksheets[0].iter_rows()
    assert [cell.value for cell in header] == list(rows[0])
    assert [(row[1].value, row[1].data_type, row[1].number_format) for row in cells] == [
        (phone, "s", "@") for phone in phones
    ]
    assert [row[0].value for row in cells] == [2, 3, 4]

    failed = await cli("batch", "report", key, "--outcome", "failed", "--json")
    assert [row["to"] for row in failed.json] == phones[1:]
    none = await cli("batch", "report", key, "--outcome", "unknown")
    assert none.out.splitlines() == [",".join(rows[0])]


async def test_a_report_that_is_redirected_to_a_file_is_for_excel_too(
    cli: Cli, server: DevServer, tmp_path: Path, provider: Simulator
) -> None:
    key, _ = await sent(cli, tmp_path, provider)
    with (tmp_path / "report.csv").open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(PROGRAM, "batch", "report", key),
            stdout=file,
            env=os.environ | {"TEMPORAL_ADDRESS": server.address},
        )
        assert await process.wait() == 0
    assert (tmp_path / "report.csv").read_bytes().startswith(b"\xef\xbb\xbfrow,to,")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/no-such-folder/x.csv", "there is no folder /no-such-folder"),
        ("/", "is a folder"),
        ("x.xls", ".xlsx"),
        ("x.json", ".csv"),
    ],
)
async def test_a_report_file_that_cannot_be_written_is_refused(path: str, reason: str) -> None:
    done = await run_command("batch", "report", "k", "--out", path, address="127.0.0.1:1")
    assert done.code == 2
    assert done.err.startswith("--out")
    assert reason in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_protected_folder_is_named(cli: Cli, tmp_path: Path, provider: Simulator) -> None:
    key, _ = await sent(cli, tmp_path, provider)
    protected = tmp_path / "protected"
    protected.mkdir(mode=0o500)
    for name in ("x.csv", "x.xlsx"):
        done = await cli("batch", "report", key, "--out", str(protected / name))
        assert (done.code, "Permission denied" in done.err) == (2, True)


async def test_batches_are_listed_with_their_rows(
    cli: Cli, tmp_path: Path, provider: Simulator
) -> None:
    key, _ = await sent(cli, tmp_path, provider)
    await provider.faults()
    assert (await cli("batch", "retry-failed", key)).code == 1  # the wrong row stays wrong
    file = tmp_path / "later.csv"
    file.write_text(f"to\n{new_phone()}\n{new_phone()}\n")
    paused = f"b-{uuid.uuid4()}"
    words = ("--key", paused, "--message", "x", "--rate", "1", "--no-wait")
    assert (await cli("batch", "send", str(file), *words)).code == 0
    assert (await cli("batch", "pause", paused)).code == 0

    async def found() -> dict[str, tuple[str, bool, int]]:
        listed = (await cli("batch", "list", "--json")).json
        return {
            batch["key"]: (batch["outcome"], batch["paused"], batch["counts"]["accepted"])
            for batch in listed
            if batch["key"] in (key, paused)
        }

    async def both_are_current() -> bool:
        batches = await found()
        return batches.get(key) == ("failed", False, 2) and batches.get(paused, "")[:2] == (
            "running",
            True,
        )

    await until(both_are_current)
    assert list(await found()) == [paused, key]
    table = (await cli("batch", "list")).out
    assert "3 of 3: 2 accepted, 1 failed, 0 unknown" in table
    assert "paused" in table
    assert len((await cli("batch", "list", "--limit", "1", "--json")).json) == 1
    cancelled = await cli("batch", "cancel", paused)
    assert cancelled.code == 0
    late = await cli("batch", "cancel", paused)
    assert late.code == 2
    assert "2 of 2: " in late.err
