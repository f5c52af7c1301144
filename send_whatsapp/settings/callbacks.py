"""Settings of callbacks: the worker and `doctor` read them."""

from typing import Literal

from pydantic import Field

from send_whatsapp.settings.process import ProcessSettings


class CallbackSettings(ProcessSettings):
    """Who hears what became of messages and batches."""

    callbacks_file: str | None = Field(
        None,
        alias="CALLBACKS_FILE",
        description="File that declares callbacks (docs/callbacks.md); not set: none. With docker"
        " compose, a file in `config/worker`.",
        examples=["examples/callbacks.yaml"],
    )
    callbacks_allow_private: Literal["true", "false"] = Field(
        "false",
        alias="CALLBACKS_ALLOW_PRIVATE",
        description="Whether callbacks may call `http` URLs and hosts in private networks.",
        examples=["true"],
    )
