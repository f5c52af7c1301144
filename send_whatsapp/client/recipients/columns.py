"""Names of columns: which field of a row each one fills, and which ones a row cannot have."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from send_whatsapp.client.recipients.cells import FileError
from send_whatsapp.contract.batch_body import BatchBody
from send_whatsapp.contract.fields import FALLBACK_VARIABLE
from send_whatsapp.contract.request import SendWhatsAppRequest

CONTENT_FIELDS: Final = ("message", "template", "fileUrl", "fileType")
"""Fields of a request that a row may have; every other column is a template variable."""

ROW_FIELDS: Final = ("to", "key", *CONTENT_FIELDS)

VARIABLES: Final = "variables"
"""Field of a JSON row that holds an object of template variables."""

_INVISIBLE = "".join(map(chr, (0x200B, 0x200E, 0x200F, 0xFEFF, *range(0x202A, 0x202F))))
_PHONE_NUMBER = re.compile(r"\+?[\d\s().-]{8,}")
_MAX_LISTED = 20
_MAX_NAME = 60


def simplified(name: str) -> str:
    """Return a name without case, blanks, `_` and `-`, by which columns and fields are compared."""
    return re.sub(rf"[\s_{_INVISIBLE}-]", "", name).casefold()


_SUPPORTED: Final = {simplified(n): n for n in (*ROW_FIELDS, FALLBACK_VARIABLE, VARIABLES)}

_REFUSED: Final = {
    simplified(name): name
    for name in (
        *(field.alias or "" for field in SendWhatsAppRequest.model_fields.values()),
        *(field.alias or "" for field in BatchBody.model_fields.values()),
    )
    # Nobody expects a single row to have `rows`, but a theatre may have them.
    if simplified(name) not in {*_SUPPORTED, "rows"}
}

_INSTEAD: Final = {
    "ignoreOptOut": "use --ignore-opt-out for all rows",
    "delivery": "use --at-most-once for all rows",
    "expiresAt": "use --expires-in for all rows",
    "inOrder": "use --in-order for all rows",
    "perMinute": "use --rate for all rows",
    "sendAt": "use --at or --in for all rows",
    "sendWindow": "use --window for all rows",
    VARIABLES: "write one column for each variable",
}


def cleaned(name: str) -> str:
    """Return the name of a column without blanks and invisible characters at its ends."""
    return name.strip().strip(_INVISIBLE).strip()


def row_names(
    found: Iterable[str], column_map: Mapping[str, str], *, objects: bool = False
) -> dict[str, str]:
    """Return the name in a row of each column of the file.

    `column_map` is that of --column-map: names of columns by names in a row. With `objects` a
    column `variables` may hold template variables. Raises FileError if a row cannot have a column,
    if `column_map` names one that the file does not have, or if no column becomes `to`.
    """
    columns = dict.fromkeys(found)
    mapped = {_source(columns, theirs): ours for ours, theirs in column_map.items()}
    names = {}
    for name in columns:
        target = mapped.get(name, name)
        field = _SUPPORTED.get(simplified(target), target)
        refused = _REFUSED.get(simplified(target))
        if field == VARIABLES and not objects:
            refused = VARIABLES
        if refused:
            raise FileError(_refused_column(name, refused))
        names[name] = field
    if "to" not in names.values():
        if any(map(_PHONE_NUMBER.fullmatch, columns)):
            raise FileError(
                "The first line of the file has a phone number, but it must name the columns: write"
                " a line such as to,name above it"
            )
        raise FileError(
            f"The file has no column `to`. {_listed(columns)}: name the one that holds the phone"
            f" numbers, for example with --column-map to={_example(columns)}"
        )
    return names


def _source(columns: Mapping[str, None], theirs: str) -> str:
    """Return the column that --column-map names. Raises FileError."""
    if theirs in columns:
        return theirs
    for name in columns:
        if simplified(name) == simplified(theirs):
            return name
    raise FileError(
        f"The file has no column `{theirs}`. {_listed(columns)}: correct --column-map, which is"
        " written as --column-map to=Phone"
    )


def _refused_column(name: str, refused: str) -> str:
    instead = _INSTEAD.get(refused, "remove the column")
    return (
        f"The file has a column `{name[:_MAX_NAME]}`, but a row cannot have its own `{refused}`:"
        f" {instead}, or rename the column if it is a template variable"
    )


def _listed(columns: Iterable[str]) -> str:
    names = [f"`{name[:_MAX_NAME]}`" for name in columns]
    more = f" and {len(names) - _MAX_LISTED:,} more" if len(names) > _MAX_LISTED else ""
    return f"Its columns are {', '.join(names[:_MAX_LISTED]) or 'none'}{more}"


def _example(columns: Iterable[str]) -> str:
    """Return the column that most probably holds phone numbers, quoted as a shell needs it."""
    likely = r"phone|mobil|cell|whats|tel|number|numero|handy|טלפון|נייד|телефон"
    name = next((n for n in columns if re.search(likely, n, re.IGNORECASE)), "NAME")
    return name if re.fullmatch(r"\w+", name) else f'"{name[:_MAX_NAME]}"'
