"""What `doctor` finds when it compares the template catalogue with the provider's account."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from send_whatsapp.contract.catalogue import Catalogue
from send_whatsapp.contract.templates import NamedFlow, match, variable_name

_TYPES: Final = {
    0: "text",
    1: "number",
    2: "date",
    3: "date and time",
    4: "true or false",
    5: "long text",
}
_TEXT: Final = (0, 5)


def compare(
    catalogue: Catalogue,
    configured: Mapping[str, str],
    flows: Sequence[NamedFlow],
    fields: Mapping[str, int | None],
) -> Iterator[tuple[bool, str]]:
    """Yield a line for each template, and whether it fits the account.

    `configured` are the flow ids of `CGB_TEMPLATE_<NAME>`, which win over the catalogue; `fields`
    are the types of the account's custom fields by name.
    """
    known = {flow.id for flow in flows}
    for name, entry in catalogue.templates.items():
        wrong = [_wrong_variable(variable, fields) for variable in entry.variables or []]
        if variable_name(name) not in configured:
            if entry.flow is None:
                found = match(name, flows)
                wrong.append("" if found.flow_id else f"{found.reason}; create or rename it")
            elif entry.flow not in known:
                wrong.append(f"the account has no flow {entry.flow}; correct `flow`")
        wrong = [sentence for sentence in wrong if sentence]
        for sentence in wrong:
            yield False, f"template {name}: {sentence}"
        if not wrong:
            yield True, f"template {name}: its flow and its variables exist"


def _wrong_variable(name: str, fields: Mapping[str, int | None]) -> str:
    """Return what is wrong with a variable; empty if nothing is."""
    if name not in fields:
        similar = [field for field in fields if field.casefold() == name.casefold()]
        hint = f"; did you mean {similar[0]}?" if similar else "; create it with type text"
        return f"the account has no custom field {name}{hint}"
    type_ = fields[name]
    if type_ in _TEXT:
        return ""
    shown = _TYPES.get(type_, str(type_)) if type_ is not None else "unknown"
    return (
        f"the custom field {name} has the type {shown}, so the provider drops the text that is"
        " written to it; use a field of type text"
    )
