"""Settings about people who have opted out; the worker reads them."""

from typing import Annotated, Literal

from pydantic import Field

from send_whatsapp.settings.base import Settings
from send_whatsapp.settings.values import TAG, whole_number


class OptOutSettings(Settings):
    """Whether opt-outs are respected, and how they are known."""

    opt_out: Literal["off", "respect"] = Field(
        "off",
        alias="OPT_OUT",
        description="`respect`: a person who has opted out is not written to"
        " (docs/who-may-be-written-to.md). With CGB_MAX_REQUESTS_PER_MINUTE half as many activities"
        " start then, because a send may make two requests.",
        examples=["respect"],
    )
    opt_out_tag: Annotated[str, TAG] = Field(
        "opt-out",
        alias="OPT_OUT_TAG",
        description="Tag of contacts that have opted out, in upper or lower case.",
        examples=["opt-out"],
    )
    opt_out_cache_s: Annotated[int, whole_number(0, 3600)] = Field(
        300,
        alias="OPT_OUT_CACHE",
        description="Seconds for which a worker may rely on what the provider showed about an"
        " opt-out; 0: it asks before every send.",
        examples=["300"],
    )
