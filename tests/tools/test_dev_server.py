"""The dev server: it keeps its history over a restart, and says why it cannot start."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.conftest import ROOT
from tools import dev_server, temporal_cli
from tools.dev_server import DevServer
from tools.temporal_cli import NoServer


@pytest.fixture(scope="module")
def running(server: DevServer) -> DevServer:
    """Return the server of the session, so that a missing server skips these tests."""
    return server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_restarted_server_has_its_port_and_its_history(
    running: DevServer, tmp_path: Path, number: signal.Signals
) -> None:
    async with dev_server.dev_server(tmp_path / "log", database=tmp_path / "t.db") as server:
        client = await Client.connect(server.address)
        await client.start_workflow("Kept", id="kept", task_queue="nobody")
        server.stop(number)
        await server.start()
        assert (await client.get_workflow_handle("kept").describe()).workflow_type == "Kept"
    assert server.process is not None
    assert server.process.returncode is not None


@pytest.mark.parametrize("exists", [False, True])
async def test_only_the_owner_can_read_the_data(
    running: DevServer, tmp_path: Path, exists: bool
) -> None:
    database = tmp_path / "data" / "temporal.db"
    if exists:
        async with dev_server.dev_server(tmp_path / "log", database=database):
            pass
        database.parent.chmod(0o755)
        for file in database.parent.iterdir():
            file.chmod(0o644)
    async with dev_server.dev_server(tmp_path / "log", database=database):
        assert database.with_name("temporal.db-wal").exists()
        modes = {file.name: file.stat().st_mode & 0o777 for file in database.parent.iterdir()}
        assert set(modes.values()) == {0o600}
        assert database.parent.stat().st_mode & 0o777 == 0o700


def test_data_of_another_user_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(NoServer, match=r"Cannot protect .*data.*: make it yours"):
        dev_server.make_private(tmp_path / "data" / "temporal.db")


def test_it_listens_on_this_machine_only(running: DevServer) -> None:
    command = running.command()
    assert command[command.index("--ip") + 1] == "127.0.0.1"


async def test_a_server_that_does_not_start_says_why(running: DevServer, tmp_path: Path) -> None:
    # Bound but not listening: the server cannot have the port, and a client is refused at once.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = DevServer(taken.getsockname()[1], None, None, tmp_path / "log")
        with pytest.raises(NoServer, match=r"did not start:\n.*address already in use"):
            await server.start()
    assert server.process is not None
    assert server.process.returncode is not None


def test_a_port_in_use_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert not dev_server.is_free(taken.getsockname()[1])
    assert dev_server.is_free(dev_server.free_port())


@pytest.mark.parametrize("option", ["--port", "--ui-port"])
def test_a_used_port_is_an_error_that_names_how_to_choose_another(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"--port": dev_server.free_port(), "--ui-port": dev_server.free_port()}
        ports[option] = taken.getsockname()[1]
        words = [word for name, port in ports.items() for word in (name, str(port))]
        command = [sys.executable, "-m", "tools.dev_server", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Port {ports[option]} is in use.")
    assert "`make server SERVER_PORT=7240 UI_PORT=8240`" in done.stderr


def test_all_clones_share_one_binary_per_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/me")
    expected = Path("/var/cache/me/send-whatsapp/temporal") / temporal_cli.VERSION / "temporal"
    assert temporal_cli.cache() == expected


def test_the_go_module_pins_the_same_version() -> None:
    pinned = (temporal_cli.GO_MODULE / "go.mod").read_text()
    assert f"github.com/temporalio/cli v{temporal_cli.VERSION}" in pinned
