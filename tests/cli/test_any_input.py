"""Whatever a person types or a file holds, the command line answers without a traceback."""

import csv
import json
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from send_whatsapp.cli.batch_dry_run import show_dry_run
from send_whatsapp.cli.dry_run import Templates
from send_whatsapp.cli.errors import UsageError
from send_whatsapp.cli.file_options import column_map
from send_whatsapp.cli.options import duration, name_values
from send_whatsapp.cli.output import Output
from send_whatsapp.client.recipients.cells import FileError
from send_whatsapp.client.recipients.files import read
from send_whatsapp.client.recipients.reading import ReadOptions
from send_whatsapp.client.recipients.rows import rows_of
from send_whatsapp.client.times import with_local_times
from send_whatsapp.contract.catalogue import NO_CATALOGUE
from send_whatsapp.settings import TemplateSettings
from tests.conftest import run_command

TEXT = st.text(st.characters(), max_size=20)
PHONES = st.sampled_from(["+14155552671", "(415) 555-2672", "4155552673.0", "\u00a0+49 151", "x"])
VALUES = st.one_of(PHONES, TEXT, st.sampled_from(["", "[red]", "a\nb", ":smile:", "\x1b[31m"]))
NAMES = st.one_of(st.sampled_from(["to", "message", "template", "name", "key"]), TEXT)


@given(st.one_of(TEXT, st.from_regex(r"[0-9]{1,12}(\.[0-9]*)?[smhdw]?")))
def test_a_duration_is_at_most_a_year_or_refused(text: str) -> None:
    try:
        found = duration("--in", text)
    except UsageError:
        return
    assert timedelta() <= found <= timedelta(days=366)


@given(st.lists(st.one_of(TEXT, st.builds("{}={}".format, NAMES, VALUES)), max_size=4))
def test_pairs_are_read_or_refused(pairs: list[str]) -> None:
    for read_pairs in (lambda pairs: name_values("--var", pairs), column_map):
        try:
            found = read_pairs(pairs)
        except UsageError:
            continue
        assert len(found) == len(pairs)


@given(st.one_of(TEXT, st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z")))
def test_any_text_is_shown_whether_it_holds_a_time_or_not(text: str) -> None:
    assert isinstance(with_local_times(text), str)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(rows=st.lists(st.dictionaries(NAMES, VALUES, max_size=5), max_size=4), lines=st.booleans())
def test_any_rows_are_shown_by_a_dry_run(
    rows: list[dict[str, str]], lines: bool, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("people.jsonl" if lines else "people.csv")
        if lines:
            path.write_text("\n".join(map(json.dumps, rows)))
        else:
            with path.open("w", newline="", errors="replace") as file:
                writer = csv.DictWriter(file, list({name: "" for row in rows for name in row}))
                writer.writeheader()
                writer.writerows(rows)
        try:
            table = read(path, ReadOptions())
        except FileError:
            return
    good, wrong = rows_of(table.rows, {"message": "Hi"}, "key", "US")
    capsysbinary.readouterr()
    templates = Templates(TemplateSettings.load({}), NO_CATALOGUE)
    show_dry_run(Output(as_json=True), table.columns, good, len(wrong), templates)
    shown = json.loads(capsysbinary.readouterr().out)
    assert (shown["rows"], shown["wrong"]) == (len(good), len(wrong))
    show_dry_run(Output(as_json=False), table.columns, good, len(wrong), templates)
    assert b"\x1b" not in capsysbinary.readouterr().out


@pytest.mark.parametrize(
    "line",
    [
        '{"to": "+14155552671", "\\ud800": "x"}',
        '{"to": "\\ud800"}',
        '{"to": "+14155552671", "key": "\\udfff"}',
        '{"to": "+14155552671", "message": "\\ud800"}',
        '{"to": "+14155552671", "template": "t", "variables": {"\\ud800": "x"}}',
    ],
)
@pytest.mark.parametrize("options", [(), ("--json",), ("--skip-invalid", "--json")])
async def test_half_a_surrogate_pair_is_no_defect(
    tmp_path: Path, line: str, options: tuple[str, ...]
) -> None:
    file = tmp_path / "people.jsonl"
    file.write_text(line)
    send = ("batch", "send", str(file), "--key", "k", "--message", "x", "--dry-run")
    done = await run_command(*send, *options, address="127.0.0.1:1")
    assert done.code in (0, 2)
    assert "defect" not in done.err


async def test_a_row_of_two_megabytes_is_named(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(f"to,message\n+14155552671,{'x' * 2_200_000}\n+14155552672,hi\n")
    send = ("batch", "send", str(file), "--key", "k", "--dry-run")
    refused = await run_command(*send, address="127.0.0.1:1")
    assert (refused.code, "line 2: message" in refused.err) == (2, True)
    skipped = await run_command(*send, "--skip-invalid", address="127.0.0.1:1")
    assert skipped.code == 0


async def test_a_stray_quote_is_named_and_cannot_be_skipped(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text('to,message\n+14155552671,hi\n+14155552672,"he"llo\n')
    send = ("batch", "send", str(file), "--key", "k", "--dry-run", "--skip-invalid")
    refused = await run_command(*send, address="127.0.0.1:1")
    assert refused.code == 2
    assert "Line 3: " in refused.err
    assert "--skip-invalid cannot leave the row out" in refused.err
