"""The code of docs/callbacks.md that verifies a signature, and the library that it names."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from send_whatsapp.callbacks.file import ALL_EVENTS, Callback
from send_whatsapp.callbacks.receivers import Receivers
from tests.conftest import ROOT, require_program
from tests.docs.conftest import Page
from tests.examples.conftest import run
from tools.callback_receiver import SECRET, Call, Receiver

PAGE = Page.read(ROOT / "docs" / "callbacks.md")
OTHER = Webhook(b"another secret of enough bytes")


def block(language: str) -> str:
    [found] = [block.body for block in PAGE.blocks if block.language == language]
    return found


@pytest.fixture
async def call(receiver: Receiver) -> Call:
    """Return a call with the signatures of two secrets."""
    callback = Callback(receiver.url, (OTHER, Webhook(SECRET)), ALL_EVENTS)
    async with Receivers(allow_private=True) as receivers:
        await receivers.post(callback, "run-accepted", '{"type": "message.accepted"}')
    return receiver.calls[0]


def variants(call: Call) -> dict[str, tuple[dict[str, str], str, bool]]:
    """Return headers and bodies by name, and whether each is genuine."""
    signatures = call.headers["webhook-signature"].split()
    old = dict(call.headers) | {"webhook-timestamp": str(int(time.time()) - 3600)}
    return {
        "genuine": (call.headers, call.body, True),
        "another body": (call.headers, call.body + " ", False),
        "another id": (call.headers | {"webhook-id": "other"}, call.body, False),
        "another time": (old, call.body, False),
        "another secret": (
            call.headers | {"webhook-signature": signatures[0]},
            call.body,
            False,
        ),
        "one secret": (call.headers | {"webhook-signature": signatures[1]}, call.body, True),
        "no number": (call.headers | {"webhook-timestamp": "soon"}, call.body, False),
    }


def test_the_python_of_the_page_accepts_only_what_we_sign(call: Call) -> None:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    for name, (headers, body, genuine) in variants(call).items():
        if genuine:
            assert names["verify"](SECRET, headers, body.encode()) == json.loads(body), name
        else:
            with pytest.raises(ValueError):  # noqa: PT011
                names["verify"](SECRET, headers, body.encode())


PACKAGES = ("typescript@5", "@types/node@20", "standardwebhooks@1")
CHECK = """
import { Webhook } from "standardwebhooks";
import { readFileSync } from "node:fs";
import { verify } from "./verify.js";

const [secret, cases] = JSON.parse(readFileSync("cases.json", "utf8"));
const found = cases.map(([headers, body]: [Record<string, string>, string]) =>
  [
    () => verify(secret, headers, Buffer.from(body)),
    () => new Webhook(secret).verify(body, headers),
  ].map((check) => { try { check(); return true; } catch { return false; } }));
console.log(JSON.stringify(found));
"""


async def test_the_typescript_of_the_page_and_the_library_accept_only_what_we_sign(
    call: Call, tmp_path: Path
) -> None:
    require_program("npm")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    install = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund")
    code, _, err = await run(*install, *PACKAGES, cwd=tmp_path)
    if code != 0 and not os.environ.get("CI"):
        pytest.skip(f"npm reaches no packages: {err[-500:]}")
    assert code == 0, err
    (tmp_path / "verify.ts").write_text(block("ts"))
    (tmp_path / "check.ts").write_text(CHECK)
    cases = variants(call)
    given = [SECRET, [(headers, body) for headers, body, _ in cases.values()]]
    (tmp_path / "cases.json").write_text(json.dumps(given))
    compiler = ("node_modules/.bin/tsc", "--strict", "--module", "nodenext", "--target", "es2022")
    code, out, _ = await run(*compiler, "--skipLibCheck", "check.ts", "verify.ts", cwd=tmp_path)
    assert code == 0, out
    code, out, err = await run("node", "check.js", cwd=tmp_path)
    assert code == 0, err
    assert json.loads(out) == [[genuine] * 2 for _, _, genuine in cases.values()]
