"""Settings of every Temporal client, which `temporalio.envconfig` reads."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from send_whatsapp.settings.base import Settings
from send_whatsapp.settings.values import ADDRESS, EXISTING_FILE, PLAIN_TEXT


class TemporalSettings(Settings):
    """The variables of `temporalio.envconfig`, loaded only to check them.

    The SDK reads them itself, but its errors do not say which variable is wrong. All defaults are
    None, since a profile of a configuration file may set the value instead.
    """

    address: Annotated[str, ADDRESS] | None = Field(
        None,
        alias="TEMPORAL_ADDRESS",
        description="host:port of the Temporal server; not set: that of the profile, or"
        " `localhost:7233`.",
        examples=["127.0.0.1:7233"],
    )
    namespace: Annotated[str, PLAIN_TEXT] | None = Field(
        None,
        alias="TEMPORAL_NAMESPACE",
        description="Namespace on the server; not set: that of the profile, or `default`.",
        examples=["default"],
    )
    api_key: Annotated[SecretStr, PLAIN_TEXT] | None = Field(
        None,
        alias="TEMPORAL_API_KEY",
        description="API key, for Temporal Cloud.",
        examples=["the key from Temporal Cloud"],
    )
    tls: Literal["true", "false", "1", "0"] | None = Field(
        None,
        alias="TEMPORAL_TLS",
        description="Whether to connect with TLS; an API key or a certificate turns it on too.",
        examples=["true"],
    )
    client_cert: Annotated[str, EXISTING_FILE] | None = Field(
        None,
        alias="TEMPORAL_TLS_CLIENT_CERT_PATH",
        description="The client's certificate (PEM), for mutual TLS.",
        examples=["temporal.pem"],
    )
    client_key: Annotated[str, EXISTING_FILE] | None = Field(
        None,
        alias="TEMPORAL_TLS_CLIENT_KEY_PATH",
        description="The private key of that certificate (PEM).",
        examples=["temporal.key"],
    )
    server_ca: Annotated[str, EXISTING_FILE] | None = Field(
        None,
        alias="TEMPORAL_TLS_SERVER_CA_CERT_PATH",
        description="Certificate authority of the server (PEM); not set: those of the system.",
        examples=["ca.pem"],
    )
    server_name: str | None = Field(
        None,
        alias="TEMPORAL_TLS_SERVER_NAME",
        description="Name that the server's certificate must have, if it is not the address.",
        examples=["temporal.example.com"],
    )
    config_file: Annotated[str, EXISTING_FILE] | None = Field(
        None,
        alias="TEMPORAL_CONFIG_FILE",
        description="Configuration file of Temporal's tools (TOML), with profiles.",
        examples=["temporal.toml"],
    )
    profile: str | None = Field(
        None,
        alias="TEMPORAL_PROFILE",
        description="Profile of the configuration file; not set: `default`.",
        examples=["default"],
    )
