"""What `doctor` checks about callbacks: the files, and whether callers use one that is missing."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from send_whatsapp.callbacks.file import Callback, load_callbacks
from send_whatsapp.gateway.callers_file import read_callers
from send_whatsapp.settings import CallbackSettings, GatewaySettings, SettingsError


def check_callbacks() -> Iterator[tuple[bool, str]]:
    """Yield for each finding whether it is good, and its line; nothing without callbacks."""
    try:
        callbacks = _declared()
        used = _used()
    except SettingsError as error:
        yield False, f"settings: {error}"
        return
    for caller, callback in sorted(used.items()):
        if callback not in callbacks:
            yield (
                False,
                f"callbacks: the caller {caller} uses {callback}, which the worker's CALLBACKS_FILE"
                " does not declare; add it and start the worker again",
            )
    if callbacks:
        yield True, f"callbacks: CALLBACKS_FILE declares {', '.join(sorted(callbacks))}"


def _declared() -> Mapping[str, Callback]:
    settings = CallbackSettings.load()
    return load_callbacks(
        settings.callbacks_file, allow_private=settings.callbacks_allow_private == "true"
    )


def _used() -> dict[str, str]:
    """Return the callback of each caller that has one."""
    path = GatewaySettings.load().callers_file
    callers = read_callers(Path(path)) if path else {}
    return {
        name: declared.caller.callback
        for name, declared in callers.items()
        if declared.caller.callback is not None
    }
