"""The report of a batch as JSON: compressed in memory, sent piece by piece."""

import json
import zlib
from collections.abc import AsyncIterator, Iterator
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from send_whatsapp.client import batches
from send_whatsapp.contract.batch import RowOutcome

PIECE_BYTES = 32 * 1024

Place = tuple[bool, int]
"""Where a row is in the report: rows that only an earlier file had are last."""


class Report:
    """The rows of a report: 20,000 take about 1 MB, where as objects they take some 40 MB.

    Parts are added in any order, and sorted when they are sent. The rows of most parts follow each
    other, so that one part at a time is decompressed.
    """

    def __init__(self) -> None:
        self._parts: list[_Part] = []

    def add(self, rows: list[RowOutcome]) -> None:
        """Add the rows of a part."""
        if rows:
            self._parts.append(_Part(rows))

    async def as_json(self, key: str) -> AsyncIterator[bytes]:
        """Yield the document `{"key": ..., "rows": [...]}` in pieces."""
        piece = bytearray(b'{"key": %b, "rows": [' % json.dumps(key).encode())
        for number, row in enumerate(self._rows()):
            piece += b",\n" if number else b"\n"
            piece += row
            if len(piece) >= PIECE_BYTES:
                yield bytes(piece)
                piece.clear()
        yield bytes(piece + b"\n]}")

    def _rows(self) -> Iterator[bytes]:
        """Yield the rows in order; a part is opened only when its first row is next."""
        closed = sorted(self._parts, key=lambda part: part.first, reverse=True)
        opened: list[tuple[Place, int, bytes, Iterator[_Line]]] = []
        numbers = count()
        while closed or opened:
            if closed and (not opened or closed[-1].first <= opened[0][0]):
                lines = closed.pop().lines()
            else:
                _, _, row, lines = heappop(opened)
                yield row
            if line := next(lines, None):
                heappush(opened, (line.place, next(numbers), line.row, lines))


class _Line(NamedTuple):
    place: Place
    row: bytes


class _Part:
    """The rows of one part, each as a compressed line: its place, then its JSON."""

    def __init__(self, outcomes: list[RowOutcome]) -> None:
        outcomes = sorted(outcomes, key=lambda row: (row.removed, row.row))
        self.first: Place = (outcomes[0].removed, outcomes[0].row)
        lines = [
            b"%d %d %b" % (row.removed, row.row, json.dumps(batches.report_row(row)).encode())
            for row in outcomes
        ]
        self._compressed = zlib.compress(b"\n".join(lines), 1)

    def lines(self) -> Iterator[_Line]:
        """Yield the rows in order."""
        for line in zlib.decompress(self._compressed).split(b"\n"):
            removed, number, row = line.split(b" ", 2)
            yield _Line((removed == b"1", int(number)), row)
