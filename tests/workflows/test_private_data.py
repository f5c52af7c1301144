"""What the provider repeats of a message, in any form, does not reach the run's failure."""

import base64
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from activities.redaction import WITHHELD
from simulator.faults import Fault, Route
from simulator.process import Simulator
from tests.conftest import SendHarness, new_phone, send_error

NAME, TEXT, URL = "Zoë Müller", "The canary sings", "https://files.example.com/visa/4711.pdf"

ENCODINGS: list[Callable[[str], str]] = [
    lambda text: quote(text, safe=""),
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: text.encode().hex(),
    lambda text: "".join(f"&#{ord(c)};" for c in text),
    "-".join,
    lambda text: text[::-1],
]


@pytest.mark.parametrize(
    ("route", "fields", "private"),
    [
        ("find_contact", {"message": TEXT}, ""),
        ("create_contact", {"message": TEXT}, ""),
        ("send_text", {"message": TEXT}, ""),
        ("send_text", {"message": TEXT}, TEXT),
        ("send_text", {"message": "x"}, "test-key"),
        ("send_content", {"template": "visa_approved", "variables": {"name": NAME}}, NAME),
        ("send_file", {"fileUrl": URL, "fileType": "document"}, URL),
    ],
)
async def test_an_echo_of_private_data_is_not_in_the_failure(
    harness: SendHarness,
    provider: Simulator,
    route: Route,
    fields: dict[str, Any],
    private: str,
) -> None:
    for encode in ENCODINGS:
        phone = new_phone()
        secret = {"": phone, "test-key": provider.key}.get(private, private)
        echo = encode(secret)
        answer = {"error": {"message": f"cannot send ({echo})"}}
        await provider.faults(Fault(route=route, status=400, body=answer))
        error = send_error(await harness.send(to=phone, **fields))
        assert error.type == "ProviderRejected"
        assert echo not in error.message
        assert WITHHELD in error.message or re.search(r"cannot send \([+-]*…", error.message)
