"""The base of all settings classes: from environment variables to checked values."""

import os
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

ANY_NAME = "<NAME>"
"""Ends the alias of a field that holds several variables, as a dict by the rest of their names."""


class SettingsError(ValueError):
    """A setting has a wrong value or is missing.

    The message is one line: the variable, what is wrong with it, and an example. It never repeats
    the value, which may be a secret.
    """


class Settings(BaseModel):
    """Settings of one kind of process. The alias of each field is its environment variable."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the settings in `environ`. An empty variable counts as not set.

        Raises SettingsError for the first wrong value.
        """
        try:
            return cls.model_validate(cls._values(environ))
        except ValidationError as error:
            raise SettingsError(cls._message(error)) from None

    @classmethod
    def _values(cls, environ: Mapping[str, str]) -> dict[str, Any]:
        """Return the text of each variable that is set, by the alias of its field."""
        values: dict[str, Any] = {}
        for alias in cls._by_alias():
            if alias.endswith(ANY_NAME):
                prefix = alias.removesuffix(ANY_NAME)
                values[alias] = {
                    name.removeprefix(prefix): text
                    for name, text in environ.items()
                    if name.startswith(prefix) and text
                }
            elif environ.get(alias):
                values[alias] = environ[alias]
        return values

    @classmethod
    def _message(cls, error: ValidationError) -> str:
        first = error.errors(include_input=False, include_url=False)[0]
        alias, *name = (str(part) for part in first["loc"])
        variable = alias.replace(ANY_NAME, "".join(name))
        match first["type"]:
            case "missing":
                problem = "is not set"
            case "literal_error":
                problem = f"must be {first['ctx']['expected']}".replace("'", "")
            case _:
                # The message of our own check; see `values.Check`.
                problem = first["msg"]
        example = (cls._by_alias()[alias].examples or [""])[0]
        return f"{variable} {problem}; for example {variable}={example}"

    @classmethod
    def _by_alias(cls) -> dict[str, FieldInfo]:
        return {field.alias: field for field in cls.model_fields.values() if field.alias}
