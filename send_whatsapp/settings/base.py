"""The base of all settings classes: from environment variables to checked values."""

import os
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

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
            raise SettingsError(cls._messages(error)[0]) from None

    @classmethod
    def problems(cls, environ: Mapping[str, str] = os.environ) -> list[str]:
        """Return a line for each wrong value in `environ`, in the words of SettingsError."""
        try:
            cls.model_validate(cls._values(environ))
        except ValidationError as error:
            return cls._messages(error)
        return []

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
    def _messages(cls, error: ValidationError) -> list[str]:
        return [cls._message(one) for one in error.errors(include_input=False, include_url=False)]

    @classmethod
    def _message(cls, error: ErrorDetails) -> str:
        alias, *name = (str(part) for part in error["loc"])
        variable = alias.replace(ANY_NAME, "".join(name))
        match error["type"]:
            case "missing":
                problem = "is not set"
            case "literal_error":
                problem = f"must be {error['ctx']['expected']}".replace("'", "")
            case _:
                # The message of our own check; see `values.Check`.
                problem = error["msg"]
        example = (cls._by_alias()[alias].examples or [""])[0]
        return f"{variable} {problem}; for example {variable}={example}"

    @classmethod
    def _by_alias(cls) -> dict[str, FieldInfo]:
        return {field.alias: field for field in cls.model_fields.values() if field.alias}
