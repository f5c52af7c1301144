"""Texts from standard input: what is sent, and what a wrong input says."""

import asyncio
import os
import pty
import signal
import sys
from pathlib import Path

import pytest

from simulator.process import Simulator
from tests.cli.conftest import Cli
from tests.conftest import new_phone, until

PROGRAM = Path(sys.executable).with_name("send-whatsapp")
TEXT = ("send", "--to", "+1234567890", "--message", "-")
FLOW = ("send", "--to", "+1234567890", "--template", "visa_approved")


async def texts(provider: Simulator, phone: str) -> list[str]:
    return [message["text"] for message in await provider.inbox(phone)]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (b"Hello", "Hello"),
        (b"Hello\n", "Hello"),
        (b"Hello\r\n", "Hello"),
        (b"Hello\n\n", "Hello\n"),
        (b" Hello\n  world \n", " Hello\n  world "),
        (b"-\n", "-"),
        ("Zoë \U0001f44b مرحبا\n".encode(), "Zoë \U0001f44b مرحبا"),
        (b"x" * 4096 + b"\n", "x" * 4096),
    ],
)
async def test_a_message_is_read_from_standard_input(
    cli: Cli, provider: Simulator, given: bytes, sent: str
) -> None:
    phone = new_phone()
    done = await cli("send", "--to", phone, "--message", "-", stdin=given)
    assert done.code == 0, done.err
    assert await texts(provider, phone) == [sent]


async def test_a_fallback_and_variables_are_read_from_standard_input(
    cli: Cli, provider: Simulator
) -> None:
    phone = new_phone()
    to = ("send", "--to", phone, "--template")
    done = await cli(*to, "unknown", "--fallback", "-", stdin=b"Your code is 1234\n")
    assert done.code == 0, done.err
    done = await cli(*to, "visa_approved", "--var", "-", stdin=b"name=John = Doe\n\n")
    assert done.code == 0, done.err
    done = await cli(
        *to, "visa_approved", "--var", "a=1", "--var", "-", stdin=b"name=Zo\xc3\xab\r\nb=2\r\n"
    )
    assert done.code == 0, done.err
    assert await texts(provider, phone) == [
        "Your code is 1234",
        "Dear John = Doe, your visa is approved.",
        "Dear Zoë, your visa is approved.",
    ]


async def test_a_batch_reads_its_message_from_standard_input(
    cli: Cli, provider: Simulator, tmp_path: Path
) -> None:
    phones = [new_phone(), new_phone()]
    people = tmp_path / "people.csv"
    people.write_text("to\n" + "\n".join(phones))
    done = await cli(
        *("batch", "send", str(people), "--key", f"stdin-{phones[0][1:]}", "--message", "-"),
        stdin="Grüße\n".encode(),
    )
    assert done.code == 0, done.err
    assert [await texts(provider, phone) for phone in phones] == [["Grüße"]] * 2


@pytest.mark.parametrize(
    ("arguments", "given", "reason"),
    [
        (TEXT, b"", "--message - found no text on standard input: pipe it in"),
        (TEXT, b"\n", "--message - found no text on standard input: pipe it in"),
        (TEXT, b" \n", "contains only white space"),
        (TEXT, b"x" * 4097, "got 4097"),
        (TEXT, b"x" * 2_000_000, "more than 1,000,000 bytes"),
        (TEXT, "Grüße".encode("latin-1"), "is not UTF-8 text (byte 3 is wrong)"),
        (TEXT, "Hello".encode("utf-16"), "is not UTF-8 text (byte 1 is wrong)"),
        ((*TEXT, "--template", "x", "--fallback", "-"), b"x", "cannot both read standard input"),
        ((*FLOW, "--var", "-", "--fallback", "-"), b"x", "cannot both read standard input"),
        ((*FLOW, "--var", "-"), b"", "--var - found no text on standard input"),
        ((*FLOW, "--var", "-"), b"name", "name=value"),
        ((*FLOW, "--var", "name=x", "--var", "-"), b"name=y", "twice"),
    ],
)
@pytest.mark.parametrize("form", [(), ("--json",)])
async def test_a_wrong_standard_input_ends_with_2_and_the_reason(
    cli: Cli, arguments: tuple[str, ...], given: bytes, reason: str, form: tuple[str, ...]
) -> None:
    done = await cli(*arguments, *form, stdin=given)
    assert done.code == 2
    assert reason in (done.json["error"]["message"] if form else done.err)


async def test_a_standard_input_that_cannot_be_read_is_an_error(cli: Cli) -> None:
    unreadable = os.open(os.devnull, os.O_WRONLY)
    try:
        done = await cli(*TEXT, stdin=unreadable)
    finally:
        os.close(unreadable)
    assert done.code == 2
    assert "--message - cannot read standard input (Bad file descriptor): pipe" in done.err


async def test_a_closed_standard_input_is_an_error() -> None:
    process = await asyncio.create_subprocess_shell(
        f"{PROGRAM} {' '.join(TEXT)} <&-", stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert process.returncode == 2
    assert b"--message - reads standard input, which is closed: pipe it in" in err


@pytest.mark.parametrize(
    ("typed", "code", "reason"),
    [(b"\x04", 2, "found no text"), (b"Hello\n\x04", 2, "--in must be"), (None, 130, "")],
)
async def test_on_a_terminal_it_says_how_to_end_the_text(
    typed: bytes | None, code: int, reason: str
) -> None:
    keyboard, terminal = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(str(PROGRAM), *TEXT, "--in", "soon"), stdin=terminal, stderr=asyncio.subprocess.PIPE
    )
    os.close(terminal)
    assert process.stderr is not None
    assert b"Type the text of --message, then press Ctrl-D" in await process.stderr.readline()
    if typed is None:
        process.send_signal(signal.SIGINT)
    else:
        os.write(keyboard, typed)
    assert await process.wait() == code
    assert reason in (await process.stderr.read()).decode()
    os.close(keyboard)


async def test_what_is_read_from_standard_input_is_not_an_argument(
    cli: Cli, provider: Simulator
) -> None:
    def command_lines() -> bytes:
        found = b""
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                found += file.read_bytes()
            except OSError:
                continue
        return found

    phone, read_end = new_phone(), os.pipe()
    sending = asyncio.create_task(cli("send", "--to", phone, "--message", "-", stdin=read_end[0]))
    await until(lambda: phone.encode() in command_lines())
    os.write(read_end[1], b"canary")
    os.close(read_end[1])
    done = await sending
    os.close(read_end[0])
    assert done.code == 0, done.err
    assert await texts(provider, phone) == ["canary"]
