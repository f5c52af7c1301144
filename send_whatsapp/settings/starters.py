"""Settings of the command line, which starts and lists sends."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from send_whatsapp.settings.process import ProcessSettings
from send_whatsapp.settings.values import OPTIONAL_URL


class StarterSettings(ProcessSettings):
    """Settings of a starter, beside those of its Temporal client (`TemporalSettings`)."""

    ui_url: Annotated[str, OPTIONAL_URL] = Field(
        "http://127.0.0.1:8233",
        alias="TEMPORAL_UI_URL",
        description="URL of Temporal's Web UI, for links to runs; empty: no links.",
        examples=["http://127.0.0.1:8233"],
    )

    @classmethod
    def _values(cls, environ: Mapping[str, str]) -> dict[str, Any]:
        # Unlike other variables, an empty one counts: it turns the links off.
        empty = {"TEMPORAL_UI_URL": ""} if environ.get("TEMPORAL_UI_URL") == "" else {}
        return super()._values(environ) | empty
