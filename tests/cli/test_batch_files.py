"""How `batch send` reads a file: its options, its dry run, and what it refuses before a start.

No server listens at the address, so exit code 2 also means that nothing was started.
"""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from simulator.process import Simulator
from tests.cli.conftest import Cli
from tests.client.recipients.workbooks import number, row, sheet, write_parts, write_sheet
from tests.conftest import CommandResult, new_phone, run_command

TO = "+14155552671"


async def batch_send(file: Path, *options: str) -> CommandResult:
    return await run_command(
        "batch", "send", str(file), "--key", "k", *options, address="127.0.0.1:1"
    )


def people(folder: Path, text: str, name: str = "people.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


async def test_a_dry_run_shows_three_rows_and_the_use_of_each_column(tmp_path: Path) -> None:
    lines = [f"(415) 555-267{i};Ana {i};:red:;;" for i in range(3)]
    file = people(tmp_path, "\n".join(["Phone;name;colour;Fallback Message;", *lines]))
    send = ("--template", "visa_approved", "--column-map", "to=phone", "--dry-run")
    done = await batch_send(file, *send)
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "3 rows can be sent, 0 cannot\n"
        "Columns used: Phone -> to, name -> variables.name, colour -> variables.colour,"
        " Fallback Message -> variables.fallback_message\n"
        "Template visa_approved: CGB_API_KEY is not set here, so the worker will look it up\n"
        "line 2: +14155552670, template visa_approved, name=Ana 0, colour=:red:\n"
        "line 3: +14155552671, template visa_approved, name=Ana 1, colour=:red:\n"
        "line 4: +14155552672, template visa_approved, name=Ana 2, colour=:red:\n"
    )


async def test_a_dry_run_prints_json(tmp_path: Path) -> None:
    file = people(tmp_path, "to,name\n" + "".join(f"+1415555267{i},Ana\n" for i in range(5)))
    done = await batch_send(file, "--message", "Hi", "--dry-run", "--json")
    assert done.code == 0
    rows = [
        {"row": i + 2, "key": f"k/+1415555267{i}", "to": f"+1415555267{i}", "message": "Hi"}
        | {"kind": "text"}
        for i in range(3)
    ]
    assert done.json == {
        "rows": 5,
        "wrong": 0,
        "columns": {"to": "to", "name": None},
        "sendTimes": [],
        "preview": rows,
    }
    shown = (await batch_send(file, "--message", "Hi", "--dry-run")).out
    assert "Columns not used: name\n" in shown
    assert shown.endswith("and 2 more\n")


@pytest.mark.parametrize(
    ("text", "options", "reason"),
    [
        ("to,sendAt\n{TO},noon\n", (), "--at or --in"),
        ("to,send window\n{TO},09:00-20:00\n", (), "--window"),
        ("to,name\n{TO},Ana\n", ("--message", "Hi {name}"), "{name}"),
        ("to,name\n{TO},Ana\n", ("--template", "t", "--fallback", "Hi {{Name}}"), "{name}"),
        ("to,name\n{TO},\n", ("--template", "t"), "--empty-cells skip"),
        ("Phone\n{TO}\n", (), "--column-map to=Phone"),
        ("Phone,x\n{TO},y\n", ("--column-map", "to=Phone", "--column-map", "key=Phone"), "twice"),
        ("Title\nto\n{TO}\n", (), "--header-row 2"),
        ("to\n{TO}\n", ("--sheet", "x"), "--sheet"),
        ("to\n{TO}\n", ("--encoding", "klingon"), "--encoding"),
        ("to\n{TO}\n", ("--header-row", "0"), "--header-row"),
        ("to\n{TO}\n", ("--hidden-rows", "maybe"), "--hidden-rows"),
        ('to,name\n{TO},"Ana"x\n', (), "Line 2"),
        ("to,key\n{TO},a\ncall me,b\n", (), "line 3: to: "),
        ("to,name\n{TO},Ana\n+14155550103\u00a0x,Bo\n", ("--template", "t"), "line 3: to: "),
        ("to,template,a\n{TO},t," + "x" * 2_300_000 + "\n", (), "line 2: request has 2,300"),
    ],
)
async def test_a_wrong_file_or_option_ends_with_2_and_a_reason(
    tmp_path: Path, text: str, options: tuple[str, ...], reason: str
) -> None:
    file = people(tmp_path, text.replace("{TO}", TO))
    if "--template" not in options and "--message" not in options and "template" not in text:
        options = (*options, "--message", "Hi")
    done = await batch_send(file, *options)
    assert done.code == 2
    assert reason in done.err
    assert "Traceback" not in done.err
    assert "defect" not in done.err
    if not {"--hidden-rows", "0"} & {*options}:
        as_json = await batch_send(file, *options, "--json")
        assert reason in as_json.json["error"]["message"]


async def test_the_options_reach_the_reader(tmp_path: Path) -> None:
    shown = sheet(row("People"), row("to", "x"), row(TO), row(TO, attributes='hidden="1"'))
    write_parts(tmp_path / "a.xlsx", [("First", "hidden", sheet()), ("Second", "visible", shown)])
    options = ("--sheet", "second", "--header-row", "2", "--hidden-rows", "skip")
    send = (*options, "--template", "t", "--empty-cells", "skip", "--dry-run", "--json")
    done = await batch_send(tmp_path / "a.xlsx", *send)
    assert done.code == 0, done.err
    assert [preview["row"] for preview in done.json["preview"]] == [3]


@pytest.mark.parametrize(("encoding", "name"), [("cp1255", "נועה"), ("cp1252", "José")])
async def test_the_encoding_of_a_file_is_named_not_guessed(
    tmp_path: Path, encoding: str, name: str
) -> None:
    (tmp_path / "a.csv").write_bytes(f"to,name\n{TO},{name}\n".encode(encoding))
    send = ("--template", "t", "--dry-run", "--json")
    refused = await batch_send(tmp_path / "a.csv", *send)
    assert refused.code == 2
    assert "Line 2 of the file is not UTF-8" in refused.json["error"]["message"]
    assert f'"{TO},{name}"' in refused.json["error"]["message"]
    done = await batch_send(tmp_path / "a.csv", *send, "--encoding", encoding)
    assert done.json["preview"][0]["variables"] == {"name": name}


async def test_what_the_sheet_shows_arrives(cli: Cli, provider: Simulator, tmp_path: Path) -> None:
    phone = new_phone()
    file = write_sheet(
        tmp_path / "a.xlsx",
        row("TO", "message", "total"),
        row(number(float(phone.removeprefix("+"))), "Hello_x000D_\nAna", number(0.155, 1)),
        before='<dimension ref="A1"/>',
        formats=(0, "0.0%"),
    )
    key = f"files-{uuid.uuid4()}"
    sent = await cli("batch", "send", str(file), "--key", key)
    assert sent.code == 0, sent.err
    assert [message["text"] for message in await provider.inbox(phone)] == ["Hello\r\nAna"]
    report = (await cli("batch", "report", key, "--json")).json
    assert [(line["row"], line["to"]) for line in report] == [(2, phone)]


async def test_wrong_rows_that_are_left_out_are_in_the_report(cli: Cli, tmp_path: Path) -> None:
    phone = new_phone()
    rows: list[dict[str, Any]] = [
        {"to": phone, "key": f"own-{uuid.uuid4()}", "message": "x"},
        {"to": "x" * 500_000, "key": "b", "message": "x"},
        {"to": new_phone(), "message": "x", "delivery2": 1, "template": "t", "a": "y" * 200_000},
        *({"to": phone, "template": "t", "שם" * 20: ""} for _ in range(1_500)),
    ]
    file = people(tmp_path, "\n".join(map(json.dumps, rows)), "a.jsonl")
    key = f"files-{uuid.uuid4()}"
    done = await cli("batch", "send", str(file), "--key", key, "--skip-invalid")
    assert done.code == 1, done.err
    report = (await cli("batch", "report", key, "--json")).json
    assert [line["outcome"] for line in report] == ["accepted"] + ["failed"] * 1_502
    assert [line["errorType"] for line in report[1:3]] == ["InvalidPhoneNumber", "InvalidRequest"]
