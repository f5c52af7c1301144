"""The Temporal CLI: a download is used only if it is the published archive."""

import hashlib
import io
import platform
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tools import temporal_cli

PROGRAM = b"#!/bin/sh\necho 'temporal version 1.8.2 (Server 1.31.2, UI 2.50.1)'\n"


def archive(program: bytes, name: str = "temporal") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(program)
        tar.addfile(member, io.BytesIO(program))
    return file.getvalue()


class Releases:
    """A server of one archive, with the paths that were requested."""

    def __init__(self) -> None:
        self.body = archive(PROGRAM)
        self.paths: list[str] = []


@pytest.fixture
def releases(monkeypatch: pytest.MonkeyPatch) -> Iterator[Releases]:
    releases = Releases()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            releases.paths.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(releases.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(temporal_cli, "RELEASE", f"http://127.0.0.1:{server.server_port}")
    digest = hashlib.sha256(releases.body).hexdigest()
    monkeypatch.setitem(temporal_cli.ARCHIVES, "linux_amd64", digest)
    try:
        yield releases
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_published_archive_is_used(releases: Releases, tmp_path: Path) -> None:
    binary = tmp_path / "cache" / "temporal"
    assert temporal_cli.download(binary)
    assert binary.read_bytes() == PROGRAM
    assert list(binary.parent.iterdir()) == [binary]
    assert releases.paths == [f"/temporal_cli_{temporal_cli.VERSION}_linux_amd64.tar.gz"]


@pytest.mark.parametrize(
    "body",
    [archive(PROGRAM + b"\n"), archive(PROGRAM)[:-1], archive(PROGRAM, "other"), b"", b"<html>"],
)
def test_any_other_archive_is_not_used(
    releases: Releases, tmp_path: Path, capsys: pytest.CaptureFixture[str], body: bytes
) -> None:
    releases.body = body
    binary = tmp_path / "cache" / "temporal"
    assert not temporal_cli.download(binary)
    assert "SHA-256" in capsys.readouterr().out
    assert list(binary.parent.iterdir()) == []


def test_an_archive_without_the_program_is_not_used(
    releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases.body = archive(PROGRAM, "other")
    digest = hashlib.sha256(releases.body).hexdigest()
    monkeypatch.setitem(temporal_cli.ARCHIVES, "linux_amd64", digest)
    binary = tmp_path / "cache" / "temporal"
    assert not temporal_cli.download(binary)
    assert list(binary.parent.iterdir()) == []


@pytest.mark.parametrize(("system", "processor"), [("linux", "riscv64"), ("freebsd14", "x86_64")])
def test_without_a_pinned_hash_nothing_is_downloaded(
    releases: Releases,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    processor: str,
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: processor)
    assert not temporal_cli.download(tmp_path / "cache" / "temporal")
    assert releases.paths == []


def test_a_server_that_does_not_answer_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(temporal_cli, "RELEASE", "http://127.0.0.1:1")
    assert not temporal_cli.download(tmp_path / "cache" / "temporal")
