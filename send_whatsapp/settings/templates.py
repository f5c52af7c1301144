"""Settings about templates: the worker reads them, `doctor` and dry runs too."""

from typing import Annotated

from pydantic import Field

from send_whatsapp.settings.base import ANY_NAME
from send_whatsapp.settings.process import ProcessSettings
from send_whatsapp.settings.values import FLOW_ID

TEMPLATE_PREFIX = "CGB_TEMPLATE_"


class TemplateSettings(ProcessSettings):
    """What a template's name means, beyond the flows of the account."""

    templates: dict[str, Annotated[str, FLOW_ID]] = Field(
        default_factory=dict,
        alias=TEMPLATE_PREFIX + ANY_NAME,
        description="Id of the flow to send for a template, instead of the flow that the"
        " template's name finds. `<NAME>` is the template in upper case, with `_` for every run of"
        " characters other than A to Z and 0 to 9. `send-whatsapp doctor` checks that each flow"
        " exists. With docker compose, set it in `config/worker.env`.",
        examples=["1752250957765"],
    )
    templates_file: str | None = Field(
        None,
        alias="TEMPLATES_FILE",
        description="The template catalogue, a YAML file (docs/templates.md); not set: none. With"
        " docker compose, a file in `config/worker`.",
        examples=["examples/templates.yaml"],
    )
