"""Reads a YAML file of settings, and says in one line what is wrong with it."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from send_whatsapp.settings.base import SettingsError

Content = TypeVar("Content", bound=BaseModel)


class Loader(yaml.SafeLoader):
    """YAML without repeated keys, of which PyYAML would silently take the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the content of a mapping. Raises MarkedYAMLError for a key that is repeated."""
        seen = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.MarkedYAMLError(
                    problem=f'has the key "{key.value}" twice', problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, content: type[Content], variable: str) -> Content:
    """Return the content of the file that this variable names. Raises SettingsError."""
    try:
        return content.model_validate(yaml.load(path.read_text(encoding="utf-8"), Loader))
    except (OSError, UnicodeDecodeError):
        raise wrong_file(variable, " cannot be read") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise wrong_file(variable, f" is not valid YAML, or has a key twice{line}") from None
    except RecursionError:
        raise wrong_file(variable, " is nested too deeply") from None
    except ValidationError as error:
        item = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in item["loc"] if part != "[key]") or "the file"
        problem = f": {place}: {item['msg'][0].lower()}{item['msg'][1:]}"
        raise wrong_file(variable, problem) from None
    except ValueError:
        # PyYAML raises it for an impossible date, for example.
        raise wrong_file(variable, " is not valid YAML") from None


def wrong_file(variable: str, problem: str) -> SettingsError:
    """Return the error of a file; `GATEWAY_CALLERS_FILE` has its example in examples/callers.yaml.

    `problem` completes the name of the variable.
    """
    example = variable.removeprefix("GATEWAY_").removesuffix("_FILE").lower()
    return SettingsError(f"{variable}{problem}; for example {variable}=examples/{example}.yaml")
