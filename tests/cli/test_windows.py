"""Send windows on the command line: single sends and batches wait for them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from simulator.process import Simulator
from tests.cli.conftest import Cli
from tests.conftest import new_phone, until


def later_today(hours: int = 3) -> tuple[str, ...]:
    """Return options with a window that is closed for so many hours."""
    opens_at = datetime.now(UTC) + timedelta(hours=hours)
    closes_at = opens_at + timedelta(hours=2)
    return "--window", f"{opens_at:%H:%M}-{closes_at:%H:%M}", "--zone", "UTC"


async def test_a_send_waits_for_its_window_and_status_says_so(
    cli: Cli, provider: Simulator
) -> None:
    window, key = later_today(), new_phone()
    send = ("send", "--to", new_phone(), "--message", "x", "--key", key, *window)
    started = await cli(*send, "--no-wait", "--json")
    assert started.code == 0

    async def waits() -> bool:
        shown = await cli("status", key)
        return f"Waits until {window[1][:5]} in UTC (" in shown.out

    await until(waits)
    # The same window is the same message, another one is not.
    assert (await cli(*send, "--no-wait")).code == 0
    other = await cli(*send[:-4], "--window", "00:00-23:59", "--no-wait")
    assert (other.code, "belongs to another request" in other.err) == (2, True)
    assert (await cli("cancel", key)).code == 0
    assert not await provider.inbox()


async def test_a_send_in_its_window_goes_out_at_once(cli: Cli, provider: Simulator) -> None:
    # One minute of the day would be outside.
    now = datetime.now(UTC)
    window = f"{now - timedelta(hours=1):%H:%M}-{now - timedelta(hours=2):%H:%M}"
    done = await cli(
        "send", "--to", new_phone(), "--message", "x", "--window", window, "--zone", "UTC"
    )
    assert done.code == 0


async def test_the_rows_of_a_batch_wait_for_their_window(
    cli: Cli, provider: Simulator, tmp_path: Path
) -> None:
    file, key = tmp_path / "a.csv", new_phone()
    file.write_text("to\n" + "".join(f"{new_phone()}\n" for _ in range(3)))
    send = ("batch", "send", str(file), "--key", key, "--message", "x")
    assert (await cli(*send, *later_today(), "--no-wait")).code == 0

    async def wait() -> bool:
        return bool((await cli("batch", "status", key, "--json")).json["outsideWindow"] == 3)

    await until(wait)
    shown = (await cli("batch", "status", key)).out
    assert "3 rows wait for their send window, the first until" in shown
    # Other windows are other rows.
    assert (await cli(*send, *later_today(5), "--no-wait")).code == 2
    assert (await cli("batch", "cancel", key)).code == 0
    assert not await provider.inbox()


async def test_rows_whose_window_opens_after_expires_in_fail_at_once(
    cli: Cli, provider: Simulator, tmp_path: Path
) -> None:
    file, key = tmp_path / "a.csv", new_phone()
    file.write_text(f"to\n{new_phone()}\n")
    send = ("batch", "send", str(file), "--key", key, "--message", "x", "--expires-in", "1h")
    assert (await cli(*send, *later_today())).code == 1
    report = await cli("batch", "report", key, "--json")
    assert [row["errorType"] for row in report.json] == ["Expired"]
