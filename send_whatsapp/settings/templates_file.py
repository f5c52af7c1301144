"""Reads the template catalogue (`TEMPLATES_FILE`, docs/templates.md)."""

from pathlib import Path
from typing import Final

import yaml
from pydantic import ValidationError

from send_whatsapp.contract.catalogue import NO_CATALOGUE, Catalogue
from send_whatsapp.contract.validation import problems
from send_whatsapp.settings.base import SettingsError
from send_whatsapp.settings.yaml_file import Loader

VARIABLE: Final = "TEMPLATES_FILE"
_EXAMPLE: Final = f"{VARIABLE}=examples/templates.yaml"


def load_catalogue(path: str | None) -> Catalogue:
    """Return the catalogue of a file; an empty one without a path.

    Raises SettingsError, in one line, for a file that cannot be read or is wrong.
    """
    if path is None:
        return NO_CATALOGUE
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader)
        if not isinstance(content, dict) or "templates" not in content:
            raise SettingsError(_message(' has no key "templates"'))
        return Catalogue.model_validate(content)
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        if isinstance(error, SettingsError):
            raise
        problem = _problem(error) if isinstance(error, ValidationError) else " cannot be read"
    except yaml.YAMLError as error:
        problem = _yaml_problem(error)
    raise SettingsError(_message(problem))


def _problem(error: ValidationError) -> str:
    first = problems(error)[0]
    return f": {first.field.replace('.[key]', '')} {first.problem} (expected {first.expected})"


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f" in line {mark.line + 1}" if mark else ""
    problem = getattr(error, "problem", None)
    if isinstance(problem, str) and problem.startswith("has the key"):
        return f" {problem}{line}"
    return f" is not valid YAML{line}"


def _message(problem: str) -> str:
    return f"{VARIABLE}{problem}; for example {_EXAMPLE}"
