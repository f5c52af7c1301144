"""The commands of the HTTP gateway: run it, and try a webhook without sending anything.

They import the gateway when they run, since that would delay the start of all other commands.
"""

from pathlib import Path
from typing import Annotated

import typer

from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.settings import SettingsError
from send_whatsapp.temporal.process import exit_now

app = typer.Typer()


@app.command(epilog="Example: GATEWAY_BIND=127.0.0.1:8080 send-whatsapp gateway")
def gateway() -> None:
    """Run the HTTP gateway on the address in GATEWAY_BIND."""
    from send_whatsapp.gateway.app import main

    main()


@app.command(
    epilog="Example: send-whatsapp webhook examples/webhooks/webhooks.yaml shop"
    " --sample examples/webhooks/shop.json"
)
def webhook(
    file: Annotated[Path, typer.Argument(help="File that declares webhooks (docs/webhooks.md).")],
    name: Annotated[str, typer.Argument(help="Name of the webhook in this file.")],
    sample: Annotated[
        typer.FileBinaryRead,
        typer.Option(help="File with a body as the other system sends it; - is standard input."),
    ],
) -> None:
    """Show as JSON what a webhook would send for a sample body, without sending it."""
    from send_whatsapp.gateway import webhooks

    output = Output(as_json=False)
    try:
        mapped = webhooks.dry_run(file, name, sample.read())
    except (SettingsError, webhooks.InvalidWebhookBody) as error:
        output.fail(Exit.INVALID, str(error))
    output.json(mapped)
    exit_now(Exit.ACCEPTED)
