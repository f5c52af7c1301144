"""The command `token`: a token that works with the lines that it prints."""

import hashlib
from pathlib import Path

import pytest
import yaml

from send_whatsapp.gateway.tokens import Tokens
from tests.conftest import run_command

NO_SERVER = "127.0.0.1:1"


@pytest.mark.parametrize("name", ["shop", "123", "yes", "a.b-c_d", "1e5"])
async def test_a_token_works_with_the_lines_that_are_printed(tmp_path: Path, name: str) -> None:
    done = await run_command("token", name, "--json", address=NO_SERVER)
    assert done.code == 0, done.err
    made = done.json
    assert made["name"] == name
    file = tmp_path / "callers.yaml"
    file.write_text(made["yaml"])
    found = Tokens({}, None, file).caller([f"Bearer {made['token']}".encode()])
    assert found is not None
    assert found.name == name


async def test_the_text_has_the_token_once_and_its_hash_in_the_lines() -> None:
    done = await run_command("token", "shop", address=NO_SERVER)
    assert done.code == 0, done.err
    (token,) = [
        line for line in done.out.splitlines() if line and " " not in line and ":" not in line
    ]
    assert len(token) >= 43
    lines = done.out[done.out.index("callers:") :]
    declared = yaml.safe_load(lines)["callers"]["shop"]
    assert declared == {"token_sha256": hashlib.sha256(token.encode()).hexdigest()}
    assert token not in lines
    assert token not in (await run_command("token", "shop", address=NO_SERVER)).out


@pytest.mark.parametrize("name", ["", "shop floor", "-", "é", "x" * 61, "a:b"])
async def test_a_name_that_no_caller_can_have_is_refused(name: str) -> None:
    done = await run_command("token", "--", name, address=NO_SERVER)
    assert done.code == 2
    assert "for example shop" in done.err
