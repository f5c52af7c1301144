"""Reads an upload: checks each row when it arrives, and packs it."""

import asyncio
import hashlib
import io
import os
from array import array
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Final, NamedTuple

from starlette.types import Receive, Scope

from send_whatsapp.client.batches.packed_rows import PackedRows
from send_whatsapp.client.recipients.cells import FileError, NumberedRow, WrongRow
from send_whatsapp.client.recipients.rows import derived_key, rows_of
from send_whatsapp.contract.batch import MAX_ROWS, Row
from send_whatsapp.contract.batch_body import BatchOptions
from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.batch_rows import MAX_PROBLEMS, REFUSED, common_cells
from send_whatsapp.gateway.places import Places
from send_whatsapp.gateway.problems import Problem, unavailable_problem
from send_whatsapp.gateway.upload.body import MAX_UPLOAD_BYTES, TOO_LARGE, UploadBody
from send_whatsapp.gateway.upload.lines import csv_rows, ndjson_rows
from send_whatsapp.gateway.upload.options import options_of

MAX_UPLOADS = 4
MAX_UPLOADS_PER_CALLER = 2
"""Uploads that are read at once; each takes some 20 MB."""

_READERS: Final[dict[str, Callable[[io.BufferedReader], Iterator[NumberedRow]]]] = {
    "application/x-ndjson": ndjson_rows,
    "text/csv": csv_rows,
}
_UTF8: Final = ("", "utf-8", "utf8")


class Upload(NamedTuple):
    """A batch whose rows have arrived completely, and are all valid."""

    options: BatchOptions
    rows: PackedRows


class Uploads:
    """Reads the uploads of all callers, a few at once."""

    def __init__(self, region: str) -> None:
        """Read numbers without `+` by the rules of `region` (ISO 3166)."""
        self._region = region
        self._places = Places(MAX_UPLOADS_PER_CALLER, MAX_UPLOADS)

    async def read(self, scope: Scope, receive: Receive, caller: str) -> Upload:
        """Return what a request uploads, once it has arrived completely.

        Raises Problem: 413, 415, 422 for wrong parameters and rows, 408 and 499 if it does not
        arrive, 503 if too many uploads are being read.
        """
        place = self._places.take(caller)
        if place is None:
            raise unavailable_problem(
                "Too many uploads at once", time_limits.RETRY_AFTER_TOO_MANY_UPLOADS_S
            )
        with place:
            return await _read_upload(scope, receive, self._region)


async def _read_upload(scope: Scope, receive: Receive, region: str) -> Upload:
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"0")
    if len(length) > 9 or int(length) > MAX_UPLOAD_BYTES:
        raise TOO_LARGE
    reader = _reader(headers.get(b"content-type", b"").decode("latin-1"))
    options = options_of(scope)
    body = UploadBody(receive)
    return await asyncio.to_thread(_read, reader, io.BufferedReader(body), options, region)


def _reader(content_type: str) -> Callable[[io.BufferedReader], Iterator[NumberedRow]]:
    media_type, _, parameters = content_type.lower().partition(";")
    name, _, charset = parameters.partition(";")[0].partition("=")
    if name.strip() == "charset" and charset.strip(' "') not in _UTF8:
        raise Problem(415, "The rows must be UTF-8")
    reader = _READERS.get(media_type.strip())
    if reader is None:
        raise Problem(415, f"The Content-Type must be {' or '.join(_READERS)}")
    return reader


def _read(
    reader: Callable[[io.BufferedReader], Iterator[NumberedRow]],
    body: io.BufferedReader,
    options: BatchOptions,
    region: str,
) -> Upload:
    """Return the upload. It reads in a thread, since checking many rows takes many seconds."""
    rows, people = PackedRows(), _People(options.key)
    found: list[dict[str, Any]] = []
    common = common_cells(options)
    try:
        for numbered in reader(body):
            if len(rows) == MAX_ROWS:
                raise Problem(422, f"The upload has more than {MAX_ROWS:,} rows: split it")
            good, wrong = rows_of([numbered], common, options.key, region)
            for row in good:
                rows.add(row)
                people.add(row)
            found += [problem for row in wrong for problem in _problems(row)]
            if len(found) >= MAX_PROBLEMS:
                break
    except FileError as error:
        raise Problem(422, str(error)) from None
    found += people.clashes()
    if found:
        raise Problem(422, REFUSED, errors=found[:MAX_PROBLEMS])
    if not len(rows):
        raise Problem(422, "The upload has no rows")
    return Upload(options, rows)


def _problems(row: WrongRow) -> list[dict[str, Any]]:
    # A line that could not be split into cells has a sentence instead of problems.
    problems = row.problems or (
        FieldProblem(field="request", problem=row.why, expected="a line like the others"),
    )
    return [{"line": row.row, **problem.model_dump()} for problem in problems]


class _People:
    """Finds rows for one person or with one key, in 25 bytes for each row.

    Two rows for one person are two messages if each has its own key.
    """

    def __init__(self, batch_key: str) -> None:
        self._batch_key = batch_key
        # A secret of each upload, so that nobody can choose numbers that seem to be equal.
        self._secret = os.urandom(16)
        self._lines = array("L")
        self._people = array("Q")
        self._keys = array("Q")
        self._has_own_key = bytearray()

    def add(self, row: Row) -> None:
        """Remember a row."""
        self._lines.append(row.row)
        self._people.append(self._hash(row.request.to))
        self._keys.append(self._hash(row.key))
        self._has_own_key.append(row.key != derived_key(self._batch_key, row.request.to))

    def clashes(self) -> list[dict[str, Any]]:
        """Return a problem for each row that another one before it makes impossible."""
        pairs = {*self._equal(self._keys), *self._equal(self._people, unless_own_keys=True)}
        return [
            {
                "line": self._lines[later],
                "field": "to",
                "problem": f"is for the same person or key as line {self._lines[first]}",
                "expected": "one row for each person, or a different key in each row",
            }
            for later, first in sorted((later, first) for first, later in pairs)
        ]

    def _equal(
        self, values: "array[int]", *, unless_own_keys: bool = False
    ) -> set[tuple[int, int]]:
        """Return the pairs of rows that have the same value, each row with the one before it."""
        pairs = set()
        order = sorted(range(len(values)), key=values.__getitem__)
        for first, later in pairwise(order):
            own = self._has_own_key[first] and self._has_own_key[later]
            if values[first] == values[later] and not (unless_own_keys and own):
                pairs.add((first, later))
        return pairs

    def _hash(self, text: str) -> int:
        digest = hashlib.blake2b(text.encode(), digest_size=8, key=self._secret).digest()
        return int.from_bytes(digest)
