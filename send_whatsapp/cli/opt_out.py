"""The commands `opt-out` and `opt-in`: whether people may be written to."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from send_whatsapp.cli.errors import UsageError
from send_whatsapp.cli.options import DEFAULT_TIMEOUT_S, Json, Timeout
from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.cli.run import Session, load_settings, run
from send_whatsapp.client.opt_outs import OptOutHandle, opt_out_result, start_opt_out
from send_whatsapp.client.recipients.cells import FileError
from send_whatsapp.client.recipients.number_list import read_numbers
from send_whatsapp.contract.errors import ErrorType
from send_whatsapp.contract.opt_out import SetOptOutRequest, SetOptOutResult
from send_whatsapp.contract.phone import InvalidPhoneNumber, to_e164
from send_whatsapp.contract.result import SendError

app = typer.Typer()

AT_ONCE = 50
"""Changes that run at the same time."""

MAX_LISTED = 200

Number = Annotated[str, typer.Argument(help="Phone number in any usual notation.")]


@app.command("opt-out", epilog="Example: send-whatsapp opt-out +1234567890")
def opt_out(
    number: Annotated[
        str | None, typer.Argument(help="Phone number in any usual notation.")
    ] = None,
    list_file: Annotated[
        Path | None,
        typer.Option(help="File with one number a line, or a file with a column `to`."),
    ] = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Remember that people do not want messages: add the tag for opt-outs at the provider.

    Exit codes: 0 done, 1 some failed, 2 invalid number or file, 4 no Temporal, 5 still running.
    """
    output = Output(as_json=as_json)
    if (number is None) == (list_file is None):
        raise UsageError("Give either a phone number or --list-file")
    region = load_settings(output).default_region
    if number is not None:
        _change([_e164(number, region, output)], True, timeout, output)
        return
    try:
        numbers, wrong = read_numbers(Path(list_file or ""), region)
    except FileError as error:
        output.fail(Exit.INVALID, str(error))
    if wrong:
        listed = "\n".join(map(str, wrong[:MAX_LISTED]))
        more = f"\nand {len(wrong) - MAX_LISTED:,} more" if len(wrong) > MAX_LISTED else ""
        output.fail(
            Exit.INVALID,
            f"Nothing was changed, because {len(wrong):,} lines have no phone number:\n{listed}"
            f"{more}\nCorrect them and run the command again",
            error_type=ErrorType.INVALID_PHONE_NUMBER,
        )
    _change(numbers, True, timeout, output, as_list=True)


@app.command("opt-in", epilog="Example: send-whatsapp opt-in +1234567890")
def opt_in(number: Number, timeout: Timeout = DEFAULT_TIMEOUT_S, as_json: Json = False) -> None:
    """Remember that a person wants messages again: remove the tag at the provider.

    Exit codes: those of `opt-out`; 1 also if the person is still unsubscribed at the provider.
    """
    output = Output(as_json=as_json)
    region = load_settings(output).default_region
    _change([_e164(number, region, output)], False, timeout, output)


def _e164(number: str, region: str, output: Output) -> str:
    try:
        return to_e164(number, region)
    except InvalidPhoneNumber as error:
        message = f"Correct the phone number: {error}"
        output.fail(Exit.INVALID, message, error_type=ErrorType.INVALID_PHONE_NUMBER)


def _change(
    numbers: list[str], opted_out: bool, timeout_s: float, output: Output, *, as_list: bool = False
) -> None:
    """Change the opt-out of each number, show how that ended, and end the process."""

    async def command(session: Session) -> Exit:
        places = asyncio.Semaphore(AT_ONCE)
        runs: dict[str, OptOutHandle] = {}

        async def change(number: str) -> SetOptOutResult | SendError:
            async with places:
                request = SetOptOutRequest(to=number, opted_out=opted_out)
                queue = session.settings.task_queue
                runs[number] = await start_opt_out(session.client, request, task_queue=queue)
                return await opt_out_result(session.client, runs[number])

        changes = {number: asyncio.create_task(change(number)) for number in numbers}
        done, running = await asyncio.wait(changes.values(), timeout=timeout_s)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        ends = {n: task.result() if task in done else None for n, task in changes.items()}
        ids = {number: handle.id for number, handle in runs.items()}
        shown = [_shown(n, ids.get(n), end, opted_out) for n, end in ends.items()]
        output.result(shown if as_list else shown[0], "\n".join(map(_line, shown[:MAX_LISTED])))
        _explain(ends, ids, output)
        return _exit_code(ends)

    run(command, output)


def _shown(
    number: str, id_: str | None, end: SetOptOutResult | SendError | None, opted_out: bool
) -> dict[str, Any]:
    """Return one change as JSON."""
    status = "done" if isinstance(end, SetOptOutResult) else "failed" if end else "running"
    fields = end.model_dump(mode="json", by_alias=True) if end else {}
    if isinstance(end, SendError):
        fields = {"error": fields}
    if id_ is None:
        status = "not started"
    return {"to": number, "optedOut": opted_out, "id": id_, "status": status, **fields}


def _line(shown: dict[str, Any]) -> str:
    error = shown.get("error")
    what = "opted out" if shown["optedOut"] else "opted in"
    end = {"done": what}.get(shown["status"], shown["status"])
    return f"{shown['to']}  {end}" + (f": {error['type']}: {error['message']}" if error else "")


def _explain(
    ends: dict[str, SetOptOutResult | SendError | None], ids: dict[str, str], output: Output
) -> None:
    results = [end for end in ends.values() if isinstance(end, SetOptOutResult)]
    if any(result.unsubscribed and not result.opted_out for result in results):
        output.note(
            "The provider still shows the person as unsubscribed, and only the person can change"
            " that: by sending a message, or with the keyword that the account uses"
        )
    if any(not result.respected for result in results):
        output.note("The worker sends in spite of opt-outs, because OPT_OUT is off there")
    if left := [number for number, end in ends.items() if end is None]:
        started = sum(number in ids for number in left)
        output.note(
            f"Not closed in time: {started:,} changes keep running, and"
            f" {len(left) - started:,} were not started. A worker must serve the task queue; run"
            " the command again to repeat them"
        )


def _exit_code(ends: dict[str, SetOptOutResult | SendError | None]) -> Exit:
    errors = [end for end in ends.values() if isinstance(end, SendError)]
    if errors:
        is_invalid = len(ends) == 1 and errors[0].type == ErrorType.INVALID_PHONE_NUMBER
        return Exit.INVALID if is_invalid else Exit.FAILED
    if None in ends.values():
        return Exit.STILL_RUNNING
    results = [end for end in ends.values() if isinstance(end, SetOptOutResult)]
    is_refused = any(result.unsubscribed and not result.opted_out for result in results)
    return Exit.FAILED if is_refused else Exit.ACCEPTED
