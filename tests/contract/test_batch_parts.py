"""Splitting rows into parts: no payload comes near the server's limit."""

import pytest

from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.parts import MAX_PART_BYTES, MAX_PART_ROWS, split
from send_whatsapp.contract.request import SendWhatsAppRequest


@pytest.mark.parametrize(
    ("message", "parts"), [("x", 2), ("x" * 4096, 4), ("\N{GRINNING FACE}" * 4096, 13)]
)
def test_a_part_is_bounded_in_rows_and_in_bytes(message: str, parts: int) -> None:
    rows = [
        Row(
            row=number,
            key=f"k{number}",
            request=SendWhatsAppRequest(to=f"+4915{number:09d}", message=message),
        )
        for number in range(2, 302)
    ]
    found = split(rows)
    assert len(found) == parts
    assert [row for part in found for row in part.unpacked()] == rows
    for part in found:
        assert len(part.unpacked()) <= MAX_PART_ROWS
        # A comma and a blank a row are not counted.
        assert len(part.model_dump_json(by_alias=True).encode()) <= MAX_PART_BYTES * 1.01
