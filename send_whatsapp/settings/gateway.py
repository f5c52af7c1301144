"""Settings of the HTTP gateway."""

from typing import Annotated

from pydantic import Field, SecretStr

from send_whatsapp.settings.starters import StarterSettings
from send_whatsapp.settings.values import HOST_PORT, whole_number


class GatewaySettings(StarterSettings):
    """Settings of `send-whatsapp gateway`."""

    bind: Annotated[str, HOST_PORT] = Field(
        "127.0.0.1:8080",
        alias="GATEWAY_BIND",
        description="host:port that the gateway listens on. Without tokens it must be loopback.",
        examples=["127.0.0.1:8080"],
    )
    tokens: SecretStr = Field(
        SecretStr(""),
        alias="GATEWAY_TOKENS",
        description="Bearer tokens of the callers, each of at least 16 characters: `name:token`,"
        " separated by commas.",
        examples=["crm:a-long-random-token"],
    )
    tokens_file: str | None = Field(
        None,
        alias="GATEWAY_TOKENS_FILE",
        description="File with one `name:token` a line; it is read again within 10 s of a change"
        " (docs/gateway.md).",
        examples=["tokens.txt"],
    )
    callers_file: str | None = Field(
        None,
        alias="GATEWAY_CALLERS_FILE",
        description="File that declares callers, what they may do and what they see; it is read"
        " again within 10 s of a change (docs/callers.md).",
        examples=["callers.yaml"],
    )
    max_requests_per_minute: Annotated[int, whole_number(1, 1_000_000)] | None = Field(
        None,
        alias="GATEWAY_MAX_REQUESTS_PER_MINUTE",
        description="Requests per minute and caller; not set: no limit.",
        examples=["600"],
    )
    webhooks_file: str | None = Field(
        None,
        alias="GATEWAY_WEBHOOKS_FILE",
        description="File that declares webhooks (docs/webhooks.md). Their secrets are"
        " in the variables that this file names.",
        examples=["webhooks.yaml"],
    )
