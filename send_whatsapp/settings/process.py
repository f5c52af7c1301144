"""Settings that every process of this project reads."""

from typing import Annotated, Literal

from pydantic import Field

from send_whatsapp.contract.names import DEFAULT_TASK_QUEUE
from send_whatsapp.contract.phone import DEFAULT_REGION
from send_whatsapp.settings.base import Settings
from send_whatsapp.settings.values import HTTP_URL, NAME, REGION


class TracingSettings(Settings):
    """The one setting of ours that a Python program with our client reads."""

    otlp_endpoint: Annotated[str, HTTP_URL] | None = Field(
        None,
        alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="URL that traces are sent to (OTLP over HTTP); not set: no traces."
        " OpenTelemetry's other `OTEL_*` variables work too.",
        examples=["http://127.0.0.1:4318"],
    )


class ProcessSettings(TracingSettings):
    """Settings of the worker, the command line and the gateway."""

    task_queue: Annotated[str, NAME] = Field(
        DEFAULT_TASK_QUEUE,
        alias="TEMPORAL_TASK_QUEUE",
        description="Task queue of the worker; starters must use the same one.",
        examples=[DEFAULT_TASK_QUEUE],
    )
    default_region: Annotated[str, REGION] = Field(
        DEFAULT_REGION,
        alias="CGB_DEFAULT_REGION",
        description="Region of phone numbers that are written without their country code.",
        examples=["US"],
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO",
        alias="LOG_LEVEL",
        description="Lowest level that is logged, to standard error.",
        examples=["INFO"],
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto",
        alias="LOG_FORMAT",
        description="Form of a log line; `auto` is text in a terminal and JSON elsewhere.",
        examples=["json"],
    )
