"""The template catalogue: which variables a listed template needs, its flow, and its preview."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)

from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.contract.fields import FALLBACK_VARIABLE, TemplateName
from send_whatsapp.contract.templates import folded
from send_whatsapp.contract.validation import refusal

_FLOW_ID = re.compile(r"[1-9][0-9]{0,29}", re.ASCII)
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_QUOTES = "text; put it in quotes if it looks like a number, a date, yes or no"


def _as_text(value: object) -> object:
    if not isinstance(value, str):
        raise refusal("is not text", _QUOTES)
    return value


def _flow_id(value: object) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _FLOW_ID.fullmatch(text):
        raise refusal("is not the id of a flow", "an id such as 1752250957765")
    return text


def _template_name(name: str) -> str:
    if not folded(name):
        raise refusal("has only spaces, - and _", "a name with a letter or a digit")
    return name


def _variable_name(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise refusal("is empty or not printable", "the name of a field")
    if name == FALLBACK_VARIABLE:
        raise refusal("is not a variable of a template", "the other variables only")
    return name


def _as_list(value: object) -> object:
    if not isinstance(value, list):
        raise refusal("is not a list", "the names in square brackets, [] for no variables")
    return value


def _not_blank(text: str) -> str:
    if not text.strip():
        raise refusal("is empty", "the text of the template, or no text")
    return text


def _each_once(names: list[str]) -> list[str]:
    if len(set(names)) != len(names):
        raise refusal("has a name twice", "each name once")
    return names


_Text = Annotated[str, BeforeValidator(_as_text)]
_Names = Annotated[
    list[Annotated[_Text, AfterValidator(_variable_name)]],
    BeforeValidator(_as_list),
    AfterValidator(_each_once),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Entry(_Strict):
    """What the catalogue says about one template.

    `flow` is used instead of a lookup by name. Exactly `variables` must be given; None: any are
    allowed. `text` is shown in previews and never sent; it has `{name}` where a variable goes.
    """

    flow: Annotated[str, BeforeValidator(_flow_id)] | None = None
    variables: _Names | None = None
    text: Annotated[_Text, AfterValidator(_not_blank)] | None = None

    @model_validator(mode="after")
    def _placeholders_are_variables(self) -> Self:
        if self.variables is not None and self.text is not None:
            for name in _PLACEHOLDER.findall(self.text):
                if name not in self.variables:
                    problem = f"has {{{name}}}, which is not one of the variables"
                    raise refusal(problem, "only names from variables in { }", "text")
        return self

    def preview(self, variables: Mapping[str, str]) -> str | None:
        """Return `text` with these variables in it; None without a text."""
        if self.text is None:
            return None
        return _PLACEHOLDER.sub(lambda found: variables.get(found[1], found[0]), self.text)


class Catalogue(_Strict):
    """The templates that are listed, by name. An empty catalogue lists none."""

    templates: dict[
        Annotated[TemplateName, BeforeValidator(_as_text), AfterValidator(_template_name)], Entry
    ] = Field(default_factory=dict)

    _by_name: dict[str, Entry] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names: dict[str, str] = {}
        for name, entry in self.templates.items():
            other = names.setdefault(folded(name), name)
            self._by_name[folded(name)] = entry
            if other != name:
                raise refusal(
                    f'means the same template as "{other}"',
                    "names that differ in more than case, spaces, - and _",
                    f"templates.{name}",
                )
        return self

    def entry(self, template: str) -> Entry | None:
        """Return what is listed for a template; case, spaces, `-` and `_` do not matter."""
        return self._by_name.get(folded(template))

    def required(self, template: str) -> list[str] | None:
        """Return the variables of a template; None if any are allowed."""
        entry = self.entry(template)
        return entry.variables if entry else None


NO_CATALOGUE: Final = Catalogue()


def variable_problems(required: list[str] | None, given: Iterable[str]) -> list[FieldProblem]:
    """Return one problem for each variable that is missing or not one of the template's.

    `required` are the variables of the template, None if any are allowed; `given` are those of a
    request, without the fallback text.
    """
    if required is None:
        return []
    names = list(given)
    listed = ", ".join(required)
    missing = [
        FieldProblem(
            field=f"variables.{name}",
            problem="is missing",
            expected="a value, or the message would show the value of an earlier one",
        )
        for name in required
        if name not in names
    ]
    additional = [
        FieldProblem(
            field=f"variables.{name[:80]}",
            problem="is not a variable of this template",
            expected=f"only {listed}" if listed else "no variables",
        )
        for name in names
        if name not in required
    ]
    return missing + additional
