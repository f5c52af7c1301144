"""The rows of a batch, compressed part by part: 250,000 rows take some 10 MB instead of 500."""

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain

from send_whatsapp.contract.batch import Counts, Row, RowOutcome
from send_whatsapp.contract.parts import PartRequest, is_full


class PackedRows:
    """Rows in the order of the file, divided into the parts that will send them."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._packed: list[bytes] = []
        self._counts: list[int] = []
        self._open: list[bytes] = []
        self._open_bytes = 0
        self._added = 0
        self._digest = hashlib.sha256(b"[[")
        self._templates: dict[str, None] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Add a row behind the others."""
        identity = json.dumps([row.row, row.key, row.request.body()])
        self._digest.update(f"{', ' if self._added else ''}{identity}".encode())
        self._added += 1
        if row.request.template:
            self._templates[row.request.template] = None
        line = row.model_dump_json(by_alias=True).encode()
        if self._open and is_full(len(self._open), self._open_bytes, len(line)):
            self._close_part()
        self._open.append(line)
        self._open_bytes += len(line)

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self._added

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows; one part at a time is decompressed."""
        for part in self.parts():
            yield from part.unpacked()

    @property
    def templates(self) -> list[str]:
        """The templates that the rows name, each once."""
        return list(self._templates)

    @property
    def counts(self) -> list[Counts]:
        """The rows of each part."""
        return [Counts(running=count) for count in (*self._counts, len(self._open)) if count]

    def parts(self, send_at: datetime | None = None) -> Iterator[PartRequest]:
        """Yield the parts that send the rows, from this time on."""
        unpacked = map(zlib.decompress, self._packed)
        for rows in chain(unpacked, [_as_list(self._open)] if self._open else []):
            yield PartRequest.model_validate({"rows": rows.decode(), "send_at": send_at})

    def digest(self, invalid: Sequence[RowOutcome]) -> str:
        """Return a text that identifies the rows and those that are left out as `invalid`.

        The times of the rows' requests do not change it.
        """
        left_out = [[row.row, row.error_type] for row in invalid]
        digest = self._digest.copy()
        digest.update(f"], {json.dumps(left_out)}]".encode())
        return digest.hexdigest()[:32]

    def _close_part(self) -> None:
        self._packed.append(zlib.compress(_as_list(self._open), 1))
        self._counts.append(len(self._open))
        self._open, self._open_bytes = [], 0


def _as_list(lines: list[bytes]) -> bytes:
    return b"[" + b",".join(lines) + b"]"


AnyRows = Sequence[Row] | PackedRows
