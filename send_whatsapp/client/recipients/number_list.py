"""Reads phone numbers from a list: one number a line, or a file with a column `to`."""

import re
from pathlib import Path

from send_whatsapp.client.recipients.cells import FileError, WrongRow, wrong_row
from send_whatsapp.client.recipients.encodings import decoded
from send_whatsapp.client.recipients.files import read
from send_whatsapp.client.recipients.reading import ReadOptions
from send_whatsapp.client.recipients.row_fields import phone_number
from send_whatsapp.contract.errors import ErrorType

_NUMBER = re.compile(r"[+(]?[\d\s().-]{7,}")


def read_numbers(path: Path, region: str) -> tuple[list[str], list[WrongRow]]:
    """Return the numbers in E.164, each once, and the lines that have none. Raises FileError."""
    lines = _lines(path)
    cells = (
        [(number, {"to": text}) for number, text in lines]
        if lines
        else read(path, ReadOptions()).rows
    )
    numbers: dict[str, None] = {}
    wrong: list[WrongRow] = []
    for line, row in cells:
        if isinstance(row, WrongRow):
            wrong.append(row)
            continue
        number, problem = phone_number(row, region)
        if problem:
            wrong.append(wrong_row(line, number, ErrorType.INVALID_PHONE_NUMBER, [problem]))
        else:
            numbers[number] = None
    return list(numbers), wrong


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines of a list of numbers that are not blank; none for any other file."""
    try:
        text = decoded(path.read_bytes(), None)
    except (OSError, FileError):
        # `read` says what is wrong with the file.
        return []
    lines = [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    return lines if lines and _NUMBER.fullmatch(lines[0][1]) else []
