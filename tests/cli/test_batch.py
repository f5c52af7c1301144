"""The check of a file by `batch send`, which needs neither Temporal nor a provider."""

from pathlib import Path

import pytest

from tests.conftest import CommandResult, run_command


async def dry_run(file: Path, *options: str, **variables: str) -> CommandResult:
    send = ("batch", "send", str(file), "--key", "k", "--message", "x", "--dry-run")
    return await run_command(*send, *options, address="127.0.0.1:1", **variables)


@pytest.mark.parametrize(("region", "code"), [("DE", 0), ("US", 2)])
async def test_the_default_region_decides_how_a_number_is_read(
    tmp_path: Path, region: str, code: int
) -> None:
    file = tmp_path / "people.csv"
    file.write_text("to\n01512 3456789\n")
    done = await dry_run(file, "--json", CGB_DEFAULT_REGION=region)
    assert done.code == code
    if code == 0:
        assert done.json["preview"][0]["to"] == "+4915123456789"
    else:
        assert "line 2: to: " in done.json["error"]["message"]


async def test_a_wrong_default_region_is_a_settings_error(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("to\n+14155552671\n")
    done = await dry_run(file, CGB_DEFAULT_REGION="Mars")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "CGB_DEFAULT_REGION" in done.err


async def test_wrong_rows_can_be_left_out(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("to\n+14155552671\ncall me\n")
    refused = await dry_run(file)
    assert refused.code == 2
    assert "line 3: to: " in refused.err
    assert "--skip-invalid" in refused.err
    skipped = await dry_run(file, "--skip-invalid")
    assert skipped.code == 0
    assert skipped.out.startswith("1 rows can be sent, 1 cannot\n")
