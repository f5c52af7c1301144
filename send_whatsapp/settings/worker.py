"""Settings of the worker."""

from typing import Annotated

from pydantic import Field, SecretStr

from send_whatsapp.settings.callbacks import CallbackSettings
from send_whatsapp.settings.opt_out import OptOutSettings
from send_whatsapp.settings.templates import TemplateSettings
from send_whatsapp.settings.values import (
    HOST_PORT,
    HTTP_URL_WITHOUT_CREDENTIALS,
    PLAIN_TEXT,
    whole_number,
)


class WorkerSettings(OptOutSettings, TemplateSettings, CallbackSettings):
    """Settings of the worker; `send-whatsapp doctor` reads them too."""

    api_url: Annotated[str, HTTP_URL_WITHOUT_CREDENTIALS] = Field(
        "https://app.chatgptbuilder.io/api",
        alias="CGB_API_URL",
        description="Base URL of the provider's API.",
        examples=["https://app.chatgptbuilder.io/api"],
    )
    api_key: Annotated[SecretStr, PLAIN_TEXT] = Field(
        alias="CGB_API_KEY",
        description="Key of the account, from the provider's settings page. Required.",
        examples=["the key from the provider's settings page"],
    )
    timeout_ms: Annotated[int, whole_number(100, 600_000)] = Field(
        30_000,
        alias="CGB_TIMEOUT",
        description="Milliseconds for all provider calls of one activity together. The worker"
        " needs up to this time plus 10 s to stop; docker compose allows it 60 s"
        " (`stop_grace_period`).",
        examples=["30000"],
    )
    retry_attempts: Annotated[int, whole_number(0, 100)] = Field(
        3,
        alias="CGB_RETRY_ATTEMPTS",
        description="Retries after the first attempt; CGB_RETRY_FOR may allow more.",
        examples=["3"],
    )
    retry_for_s: Annotated[int, whole_number(0, 604_800)] = Field(
        3600,
        alias="CGB_RETRY_FOR",
        description="Seconds for which lookups, and sends that are proven unsent, are retried;"
        " 0: only CGB_RETRY_ATTEMPTS counts.",
        examples=["3600"],
    )
    cache_timeout_s: Annotated[int, whole_number(1, 604_800)] = Field(
        3600,
        alias="CGB_CACHE_TIMEOUT",
        description="Seconds that contact ids and the list of flows are cached.",
        examples=["3600"],
    )
    max_requests_per_minute: Annotated[int, whole_number(1, 1_000_000)] | None = Field(
        None,
        alias="CGB_MAX_REQUESTS_PER_MINUTE",
        description="Requests to the provider per minute, over all workers of the task queue; not"
        " set: no limit.",
        examples=["100"],
    )
    recipient_gap_ms: Annotated[int, whole_number(0, 60_000)] = Field(
        2000,
        alias="CGB_RECIPIENT_GAP",
        description="Milliseconds between the end of a message that takes a turn and the next such"
        " message to the same person. The provider fills in the variables of a template up to 1.5 s"
        " after it has accepted the message.",
        examples=["2000"],
    )
    metrics_bind: Annotated[str, HOST_PORT] | None = Field(
        None,
        alias="METRICS_BIND",
        description="host:port of the Prometheus endpoint `/metrics`; not set: no endpoint. Docker"
        " compose sets its own.",
        examples=["127.0.0.1:9464"],
    )

    @property
    def timeout_s(self) -> float:
        """Deadline of all provider calls of one activity together, in seconds."""
        return self.timeout_ms / 1000

    @property
    def recipient_gap_s(self) -> float:
        """Time between two turns of one person, in seconds."""
        return self.recipient_gap_ms / 1000
