"""The file that declares webhooks (`GATEWAY_WEBHOOKS_FILE`, docs/webhooks.md)."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, SecretStr, ValidationError

from send_whatsapp.gateway.strict_json import InvalidJSON, parse_json
from send_whatsapp.gateway.webhooks.mapping import Webhook, invalid_body
from send_whatsapp.gateway.webhooks.signature import Declaration
from send_whatsapp.settings import SettingsError

VARIABLE = "GATEWAY_WEBHOOKS_FILE"
_EXAMPLE = f"{VARIABLE}=examples/webhooks/webhooks.yaml"


class _File(Declaration):
    webhooks: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")], Webhook]


def load_webhooks(path: Path, environ: Mapping[str, str] = os.environ) -> dict[str, Webhook]:
    """Return the webhooks of a file by name, each with its secret from the environment.

    Raises SettingsError, in one line, for a wrong file and for a secret that is not set.
    """
    return {
        name: webhook.model_copy(update={"secret": _secret(name, webhook, environ)})
        for name, webhook in _read(path).items()
    }


def dry_run(path: Path, name: str, body: bytes) -> dict[str, Any]:
    """Return as JSON what a body would send, its key and its id, without needing secrets.

    Raises SettingsError for the file, InvalidWebhookBody for the body.
    """
    declared = _read(path)
    if name not in declared:
        raise SettingsError(
            f"{path.name} does not declare the webhook {name}; it declares {', '.join(declared)}"
        )
    try:
        mapped = declared[name].map(name, parse_json(body))
    except InvalidJSON as error:
        raise invalid_body("body", str(error), "one JSON value") from None
    if mapped is None:
        return {"sends": False}
    request = mapped.request.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {"sends": True, "key": mapped.key, "id": mapped.workflow_id, "request": request}


def _read(path: Path) -> dict[str, Webhook]:
    try:
        return _File.model_validate(yaml.safe_load(path.read_text())).webhooks
    except (OSError, UnicodeDecodeError):
        problem = " cannot be read"
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = " is not valid YAML" + (f" (line {mark.line + 1})" if mark else "")
    except ValidationError as error:
        item = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in item["loc"] if part != "[key]") or "the file"
        problem = f": {place}: {item['msg'][0].lower()}{item['msg'][1:]}"
    raise SettingsError(f"{VARIABLE}{problem}; for example {_EXAMPLE}")


def _secret(name: str, webhook: Webhook, environ: Mapping[str, str]) -> SecretStr:
    if webhook.signature is None:
        return SecretStr("")
    variable = webhook.signature.secret
    if not environ.get(variable):
        raise SettingsError(
            f"{variable} is not set, but the webhook {name} needs it to check signatures; for"
            f" example {variable}=the-secret-of-the-sender"
        )
    return SecretStr(environ[variable])
