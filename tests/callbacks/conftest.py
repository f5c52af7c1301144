"""Receivers on 127.0.0.1, and files that declare them."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.callback_receiver import SECRET, Receiver, running

FileOf = Callable[..., dict[str, str]]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running(Receiver()) as opened:
        yield opened


@pytest.fixture
def file_of(tmp_path: Path) -> FileOf:
    """Return a function that declares URLs by name and returns the settings of a worker."""

    def declare(events: Sequence[str] | None = None, **urls: str) -> dict[str, str]:
        (tmp_path / "secret").write_text(SECRET + "\n")
        file = tmp_path / "callbacks.yaml"
        entries: dict[str, Any] = {
            name: {"url": url, "secret_file": "secret"} for name, url in urls.items()
        }
        if events is not None:
            entries = {name: entry | {"events": list(events)} for name, entry in entries.items()}
        file.write_text(yaml.safe_dump({"callbacks": entries}))
        return {"CALLBACKS_FILE": str(file), "CALLBACKS_ALLOW_PRIVATE": "true"}

    return declare
