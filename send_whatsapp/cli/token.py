"""The command `token`: makes the token of a caller of the gateway."""

import hashlib
import re
import secrets
from typing import Annotated

import typer
import yaml

from send_whatsapp.cli.errors import UsageError
from send_whatsapp.cli.options import Json
from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.contract.names import CALLER_NAME_PATTERN
from send_whatsapp.temporal.process import exit_now

app = typer.Typer()

TOKEN_BYTES = 32


@app.command(epilog="Example: send-whatsapp token shop")
def token(
    name: Annotated[str, typer.Argument(help="Name of the caller, for example shop.")],
    as_json: Json = False,
) -> None:
    """Make a token for a caller of the gateway, and show it once.

    It is stored nowhere: the file in GATEWAY_CALLERS_FILE gets only its SHA-256.
    """
    if not re.fullmatch(CALLER_NAME_PATTERN, name):
        raise UsageError(
            "the name must have 1 to 60 letters, digits, dots, hyphens and underscores, and begin"
            " with a letter or a digit, for example shop"
        )
    made = secrets.token_urlsafe(TOKEN_BYTES)
    digest = hashlib.sha256(made.encode()).hexdigest()
    lines = yaml.safe_dump({"callers": {name: {"token_sha256": digest}}}, width=1000)
    Output(as_json=as_json).result(
        {"name": name, "token": made, "tokenSha256": digest, "yaml": lines},
        f"The token of {name}, which is not shown again:\n\n{made}\n\n"
        f"Add these lines to the file in GATEWAY_CALLERS_FILE:\n\n{lines}",
    )
    exit_now(Exit.ACCEPTED)
