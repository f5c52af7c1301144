"""Every environment variable, typed, checked at start, secrets hidden in repr."""

import difflib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import phonenumbers
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from send_whatsapp.contract.names import DEFAULT_TASK_QUEUE

_TEMPLATE = "CGB_TEMPLATE_"


class SettingsError(ValueError):
    """A wrong setting; the message is one line: the variable, its problem and an example."""


def _wrong(problem: str) -> PydanticCustomError:
    return PydanticCustomError("setting", "{problem}", {"problem": problem})


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        readable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        readable = False
        parts = urlsplit("")
    if not readable or parts.scheme not in ("http", "https") or not value.isprintable():
        raise _wrong("is no http(s) URL")
    if " " in value or not value.isascii():
        raise _wrong("holds blanks or other than ASCII characters")
    if "?" in value or "#" in value:
        raise _wrong("has a query or a fragment")
    return value.rstrip("/")


def _api_url(value: str) -> str:
    url = _http_url(value)
    if "@" in urlsplit(url).netloc:
        raise _wrong("holds credentials; the key belongs in CGB_API_KEY")
    return url


def _secret(value: SecretStr) -> SecretStr:
    key = value.get_secret_value()
    if not key:
        raise _wrong("is empty")
    if not all("!" <= character <= "~" for character in key):
        raise _wrong("holds blanks, line breaks or other than ASCII characters")
    return value


def _number(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,9}", value.strip(" "), re.ASCII):
        raise _wrong("is no whole number")
    return int(value) if isinstance(value, str) else value


def _region(value: str) -> str:
    if value not in phonenumbers.SUPPORTED_REGIONS:
        raise _wrong("is no region that phone numbers are known for (ISO 3166, upper case)")
    return value


def _flow_id(value: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,29}", value, re.ASCII):
        raise _wrong("is no flow id (digits)")
    return value


def _bind(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or int(port) > 65535:
        raise _wrong("is no host:port")
    return value


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\]", host, re.ASCII):
        raise _wrong("is no host:port")
    return _bind(f"{host}:{port}")


def _word(value: str) -> str:
    if not all("!" <= character <= "~" for character in value):
        raise _wrong("holds blanks, line breaks or other than ASCII characters")
    return value


def _ui_url(value: str) -> str:
    return value and _api_url(value)


def _file(value: str) -> str:
    if not Path(value).is_file():
        raise _wrong("names a file that is not there")
    return value


ExistingFile = Annotated[str, AfterValidator(_file)] | None
Number = Annotated[int, BeforeValidator(_number)]
Bind = Annotated[str, AfterValidator(_bind)]


class _Settings(BaseModel):
    """Base of all settings: each field is read from the variable in its alias."""

    model_config = ConfigDict(
        frozen=True, populate_by_name=True, extra="ignore", hide_input_in_errors=True
    )

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the settings of an environment; raise SettingsError for the first wrong value.

        A variable that is set to nothing counts as not set, except where that must be an error.
        """
        given = {
            field.alias: environ[field.alias]
            for field in cls.model_fields.values()
            if field.alias and environ.get(field.alias, "") != ""
        }
        try:
            return cls.model_validate(given | cls._more(environ))
        except ValidationError as error:
            raise SettingsError(cls._sentence(error)) from None

    @classmethod
    def load_or_exit(cls) -> Self:
        """Return the settings of this process; end it with one line where one is wrong."""
        try:
            return cls.load()
        except SettingsError as error:
            sys.exit(str(error))

    @classmethod
    def _more(cls, environ: Mapping[str, str]) -> dict[str, Any]:
        return {}

    @classmethod
    def _sentence(cls, error: ValidationError) -> str:
        item = error.errors(include_input=False, include_url=False)[0]
        field = next(
            (
                f
                for name, f in cls.model_fields.items()
                if item["loc"] and item["loc"][0] in (f.alias, name)
            ),
            None,
        )
        variable = (field.alias if field else None) or str(item["loc"][-1])
        if item["type"] == "missing":
            problem = "is not set"
        elif item["type"] == "setting":
            problem = item["ctx"]["problem"]
        else:
            # Pydantic's sentence speaks of the allowed values, never of the given one.
            problem = "is wrong: " + item["msg"][0].lower() + item["msg"][1:]
        example = field.examples[0] if field and field.examples else "1752250957765"
        return f"{variable} {problem}; for example {variable}={example}"


class TracingSettings(_Settings):
    """Where traces go; all that a Python program with our client takes from the environment."""

    otlp_endpoint: Annotated[str, AfterValidator(_http_url)] | None = Field(
        None, alias="OTEL_EXPORTER_OTLP_ENDPOINT", examples=["http://127.0.0.1:4318"]
    )


class _ProcessSettings(TracingSettings):
    """What each process of ours needs."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", alias="LOG_LEVEL", examples=["INFO"]
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", alias="LOG_FORMAT", examples=["json"]
    )
    task_queue: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        DEFAULT_TASK_QUEUE, alias="TEMPORAL_TASK_QUEUE", examples=[DEFAULT_TASK_QUEUE]
    )
    default_region: Annotated[str, AfterValidator(_region)] = Field(
        "US", alias="CGB_DEFAULT_REGION", examples=["US"]
    )


class TemporalSettings(_Settings):
    """What `temporalio.envconfig` reads by itself, checked for what it would refuse unclearly."""

    address: Annotated[str, AfterValidator(_address)] | None = Field(
        None, alias="TEMPORAL_ADDRESS", examples=["127.0.0.1:7233"]
    )
    namespace: Annotated[str, AfterValidator(_word)] | None = Field(
        None, alias="TEMPORAL_NAMESPACE", examples=["default"]
    )
    api_key: Annotated[SecretStr, AfterValidator(_secret)] | None = Field(
        None, alias="TEMPORAL_API_KEY", examples=["the key from Temporal Cloud"]
    )
    tls: Literal["true", "false", "1", "0"] | None = Field(
        None, alias="TEMPORAL_TLS", examples=["true"]
    )
    config_file: ExistingFile = Field(
        None, alias="TEMPORAL_CONFIG_FILE", examples=["temporal.toml"]
    )
    client_cert: ExistingFile = Field(
        None, alias="TEMPORAL_TLS_CLIENT_CERT_PATH", examples=["temporal.pem"]
    )
    client_key: ExistingFile = Field(
        None, alias="TEMPORAL_TLS_CLIENT_KEY_PATH", examples=["temporal.key"]
    )
    server_ca: ExistingFile = Field(
        None, alias="TEMPORAL_TLS_SERVER_CA_CERT_PATH", examples=["ca.pem"]
    )


class StarterSettings(_ProcessSettings):
    """What a starter needs beside the variables that `temporalio.envconfig` reads."""

    ui_url: Annotated[str, AfterValidator(_ui_url)] = Field(
        "http://127.0.0.1:8233", alias="TEMPORAL_UI_URL", examples=["http://127.0.0.1:8233"]
    )

    @classmethod
    def _more(cls, environ: Mapping[str, str]) -> dict[str, Any]:
        # Set to nothing means: there is no Web UI to link to.
        ui_url = environ.get("TEMPORAL_UI_URL")
        return {} if ui_url is None else {"TEMPORAL_UI_URL": ui_url.rstrip("/")}


class GatewaySettings(StarterSettings):
    """What the HTTP gateway needs."""

    bind: Bind = Field("127.0.0.1:8080", alias="GATEWAY_BIND", examples=["127.0.0.1:8080"])
    tokens: SecretStr = Field(
        SecretStr(""), alias="GATEWAY_TOKENS", examples=["crm:a-long-random-token"]
    )
    tokens_file: str | None = Field(None, alias="GATEWAY_TOKENS_FILE", examples=["tokens.txt"])
    webhooks_file: str | None = Field(
        None, alias="GATEWAY_WEBHOOKS_FILE", examples=["webhooks.yaml"]
    )
    max_requests_per_minute: Annotated[Number, Field(ge=1, le=1_000_000)] | None = Field(
        None, alias="GATEWAY_MAX_REQUESTS_PER_MINUTE", examples=["600"]
    )


class ProviderSettings(_ProcessSettings):
    """What the provider's client needs; `doctor` reads these too."""

    api_url: Annotated[str, AfterValidator(_api_url)] = Field(
        "https://app.chatgptbuilder.io/api",
        alias="CGB_API_URL",
        examples=["https://app.chatgptbuilder.io/api"],
    )
    api_key: Annotated[SecretStr, AfterValidator(_secret)] = Field(
        alias="CGB_API_KEY", examples=["the key from the provider's settings page"]
    )
    timeout_ms: Annotated[Number, Field(ge=100, le=600_000)] = Field(
        30_000, alias="CGB_TIMEOUT", examples=["30000"]
    )
    templates: dict[str, Annotated[str, AfterValidator(_flow_id)]] = Field(default_factory=dict)

    @classmethod
    def _more(cls, environ: Mapping[str, str]) -> dict[str, Any]:
        templates = {
            name.removeprefix(_TEMPLATE): value.strip()
            for name, value in environ.items()
            if name.startswith(_TEMPLATE) and value != ""
        }
        return {"templates": templates}

    @classmethod
    def _sentence(cls, error: ValidationError) -> str:
        where = error.errors(include_input=False)[0]["loc"]
        if where and where[0] == "templates":
            variable = f"{_TEMPLATE}{where[-1]}"
            return f"{variable} is no flow id (digits); for example {variable}=1752250957765"
        return super()._sentence(error)


class WorkerSettings(ProviderSettings):
    """What the worker needs (design: "Settings"); times in the unit their name ends with."""

    retry_attempts: Annotated[Number, Field(ge=0, le=100)] = Field(
        3, alias="CGB_RETRY_ATTEMPTS", examples=["3"]
    )
    retry_for_s: Annotated[Number, Field(ge=0, le=604_800)] = Field(
        3600, alias="CGB_RETRY_FOR", examples=["3600"]
    )
    cache_timeout_s: Annotated[Number, Field(ge=1, le=604_800)] = Field(
        3600, alias="CGB_CACHE_TIMEOUT", examples=["3600"]
    )
    max_requests_per_minute: Annotated[Number, Field(ge=1, le=1_000_000)] | None = Field(
        None, alias="CGB_MAX_REQUESTS_PER_MINUTE", examples=["100"]
    )
    metrics_bind: Bind | None = Field(None, alias="METRICS_BIND", examples=["127.0.0.1:9464"])

    @property
    def timeout_s(self) -> float:
        """Deadline of all provider calls of one activity together, in seconds."""
        return self.timeout_ms / 1000


def unknown_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return a warning for each `CGB_` variable that no setting has, with the near one."""
    known = [f.alias for f in WorkerSettings.model_fields.values() if f.alias]
    warnings = []
    for name in sorted(environ):
        if not name.startswith("CGB_") or name in known:
            continue
        if name.startswith(_TEMPLATE) and re.fullmatch(r"[A-Z0-9_]+", name[len(_TEMPLATE) :]):
            continue
        near = difflib.get_close_matches(name, [*known, _TEMPLATE + "NAME"], n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        warnings.append(f"{name} is no setting and is ignored{hint}")
    return warnings
