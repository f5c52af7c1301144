"""Clients that generators make of the OpenAPI document send, read and understand every answer."""

import json
import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator.process import Simulator
from tests.conftest import new_phone, require_program
from tests.examples.conftest import Finished, run

pytestmark = pytest.mark.timeout(300)

PYTHON_GENERATOR = "openapi-python-client==0.29.1"
UV = str(Path(sys.executable).with_name("uv"))
CONFIG = """
content_type_overrides:
  application/x-ndjson: application/octet-stream
  text/csv: application/octet-stream
"""
"""The generator knows no media types of its own for uploads."""

PYTHON = """
import json, sys, io
from client import Client
from client.api.default import (
    get_batch_report, get_message, send_message, start_batch, upload_batch, cancel_message,
)
from client.models import Batch, BatchRecipient, MessageState, ProblemDetails, TextMessage
from client.types import File

url, to, key = sys.argv[1:]
client = Client(base_url=url, raise_on_unexpected_status=True)
sent = send_message.sync(
    client=client,
    body=TextMessage(to=to, message="x"),
    idempotency_key=f'"{key}"',
    prefer="wait=20",
)
read = get_message.sync(client=client, id=key)
late = cancel_message.sync(client=client, id=key)
assert isinstance(sent, MessageState) and isinstance(read, MessageState)
assert isinstance(late, ProblemDetails)
batch = start_batch.sync(
    client=client, body=Batch(key=key, message="x", rows=[BatchRecipient(to=to)])
)
refused = send_message.sync(client=client, body=TextMessage(to="nobody", message="x"))
print(json.dumps({
    "sent": sent.status.value,
    "wamid": read.result.message_id,
    "contact": read.result.contact_id,
    "late": late.message_status.value,
    "batch": batch.key,
    "refused": [refused.status, refused.errors[0].field],
    "missing": get_batch_report.sync(client=client, key="none").status,
}))
"""

TYPESCRIPT = """
import createClient from "openapi-fetch";
import type { components, paths, webhooks } from "./api.js";

const [url, to, key] = process.argv.slice(2) as [string, string, string];
const client = createClient<paths>({ baseUrl: url });
const sent = await client.POST("/v1/messages", {
  body: { to, message: "x" },
  params: { header: { "Idempotency-Key": `"${key}"`, Prefer: "wait=20" } },
});
const path = { id: key };
const read = await client.GET("/v1/messages/{id}", { params: { path } });
const late = await client.DELETE("/v1/messages/{id}", { params: { path } });
const batch = await client.POST("/v1/batches", { body: { key, message: "x", rows: [{ to }] } });
const refused = await client.POST("/v1/messages", { body: { to: "nobody", message: "x" } });
const missing = await client.GET("/v1/batches/{key}/report", { params: { path: { key: "none" } } });
type Event = webhooks["callback"]["post"]["requestBody"]["content"]["application/json"];
export function outcome(event: Event): components["schemas"]["Outcome"] {
  return event.type === "batch.completed" ? event.data.status : event.data.result.success
    ? "accepted" : event.data.status;
}
console.log(JSON.stringify({
  sent: sent.data?.status,
  wamid: read.data?.result?.messageId,
  contact: read.data?.result?.contactId,
  late: late.error?.messageStatus,
  batch: batch.data?.key,
  refused: [refused.error?.status, refused.error?.errors?.[0]?.field],
  missing: missing.error?.status,
}));
"""


async def install(*words: str, cwd: Path, variables: Mapping[str, str] | None = None) -> Finished:
    """Run a command that needs a package registry; skip without one, but not in CI."""
    done = await run(*words, cwd=cwd, variables=variables)
    if done.code != 0 and not os.environ.get("CI"):
        pytest.skip(f"no packages: {(done.err or done.out)[-500:]}")
    assert done.code == 0, done.out + done.err
    return done


@pytest.fixture
async def document(http: httpx.AsyncClient, tmp_path: Path) -> Path:
    file = tmp_path / "openapi.json"
    file.write_text((await http.get("/openapi.json")).text)
    return file


def expected(phone: str, key: str) -> dict[str, Any]:
    return {
        "sent": "accepted",
        "wamid": None,
        "contact": phone.removeprefix("+"),
        "late": "accepted",
        "batch": key,
        "refused": [422, "to"],
        "missing": 404,
    }


async def test_openapi_python_client_makes_a_working_client(
    http: httpx.AsyncClient, provider: Simulator, document: Path
) -> None:
    folder, phone, key = document.parent, new_phone(), f"order/{uuid.uuid4()}"
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "program.py").write_text(PYTHON)
    tool = (UV, "tool", "run", "--quiet", "--from", PYTHON_GENERATOR, "openapi-python-client")
    options = ("--path", document.name, "--output-path", "client", "--config", "config.yaml")
    done = await install(
        *tool, "generate", *options, "--meta", "none", "--fail-on-warning", cwd=folder
    )
    assert "WARNING" not in done.out, done.out
    words = (UV, "run", "--quiet", "--no-project", "--with", "httpx", "--with", "attrs")
    with_dates = ("--with", "python-dateutil", "program.py", str(http.base_url), phone, key)
    done = await install(*words, *with_dates, cwd=folder)
    assert json.loads(done.out) == expected(phone, key)


async def test_openapi_typescript_makes_a_working_client(
    http: httpx.AsyncClient, provider: Simulator, document: Path
) -> None:
    require_program("npm")
    folder, phone, key = document.parent, new_phone(), f"order/{uuid.uuid4()}"
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "program.ts").write_text(TYPESCRIPT)
    npm = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund")
    packages = ("openapi-typescript@7", "openapi-fetch@0.17", "typescript@5", "@types/node@20")
    await install(*npm, *packages, cwd=folder)
    bin_ = folder / "node_modules" / ".bin"
    done = await run(str(bin_ / "openapi-typescript"), document.name, "-o", "api.d.ts", cwd=folder)
    assert done.code == 0, done.err
    flags = ("--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022")
    done = await run(str(bin_ / "tsc"), *flags, "program.ts", cwd=folder)
    assert done.code == 0, done.out
    url = str(http.base_url).rstrip("/")
    done = await run("node", "program.js", url, phone, key, cwd=folder)
    assert done.code == 0, done.err
    assert json.loads(done.out) == expected(phone, key)
