"""A file of settings that the gateway reads again while it runs."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.log_limit import LogLimit
from send_whatsapp.settings import SettingsError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class WatchedFile(Generic[T]):
    """What a file contains. If it breaks or vanishes, its last content is kept for a while."""

    def __init__(self, path: Path, parse: Callable[[Path], T]) -> None:
        """Read the file with `parse`, which raises SettingsError for a wrong one."""
        self._path = path
        self._parse = parse
        self._content = parse(path)
        self._read_at = time.monotonic()
        self._log_limit = LogLimit(time_limits.REPEATED_ERROR_S)

    @property
    def content(self) -> T | None:
        """The content; None if the file could not be read for TOKENS_FILE_GRACE_S."""
        age_s = time.monotonic() - self._read_at
        return self._content if age_s <= time_limits.TOKENS_FILE_GRACE_S else None

    @property
    def last_content(self) -> T:
        """What the file contained when it was last right, however long ago that is."""
        return self._content

    def read(self) -> None:
        """Read the file again; log an error, at most once a minute, if it is wrong."""
        try:
            self._content = self._parse(self._path)
        except SettingsError as error:
            if self._log_limit.allows():
                logger.error("%s: %s", self._consequence(), error)
        else:
            self._read_at = time.monotonic()

    async def follow(self) -> None:
        """Read the file every TOKENS_FILE_CHECK_S, in a thread, since a disk may be slow."""
        while True:
            await asyncio.sleep(time_limits.TOKENS_FILE_CHECK_S)
            await asyncio.to_thread(self.read)

    def _consequence(self) -> str:
        if self.content is None:
            return "the tokens of the file are no longer accepted"
        left_s = time_limits.TOKENS_FILE_GRACE_S - (time.monotonic() - self._read_at)
        return f"the tokens that the file had are accepted for {left_s:.0f} s more"
