"""The commands for callbacks: deliver an event again."""

from typing import Annotated

import typer

from send_whatsapp.cli.options import Json
from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.cli.run import Session, run
from send_whatsapp.client import callbacks
from send_whatsapp.contract.names import callback_task_queue
from send_whatsapp.temporal.task_queue import no_worker

app = typer.Typer(help="Tell receivers what became of messages and batches.", no_args_is_help=True)


@app.callback()
def _commands() -> None:
    """Keep `replay` a command of its own while it is the only one."""


@app.command(epilog="Example: send-whatsapp callback replay order-4711")
def replay(
    id: Annotated[
        str,
        typer.Argument(help="Id (key) of a message or a batch, or the webhook-id of an event."),
    ],
    as_json: Json = False,
) -> None:
    """Deliver the event of a message or a batch again, and return at once.

    The receiver gets it under the same webhook-id. All attempts are made again, the first one now,
    even if the event is still being delivered.
    """

    async def command(session: Session) -> Exit:
        task_queue = session.settings.task_queue
        event, workflow_id, run_id = await callbacks.replay(
            session.client, id, task_queue=task_queue
        )
        link = session.link(workflow_id, run_id)
        lines = [f"{event.type} goes to {event.callback} again, as {event.id}.", link]
        session.output.result(
            {
                "webhookId": event.id,
                "type": event.type,
                "callback": event.callback,
                "id": workflow_id,
                "runId": run_id,
                "uiUrl": link,
            },
            "\n".join(filter(None, lines)),
        )
        if await no_worker(session.client, callback_task_queue(task_queue)):
            session.output.note(
                "No worker delivers callbacks now: start one that has a CALLBACKS_FILE."
            )
        return Exit.ACCEPTED

    run(command, Output(as_json=as_json))
