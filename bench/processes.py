"""Processes that are measured, with their descendants: CPU time, memory, killing them."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Program:
    """A running process with all its descendants, in a new process group.

    `user` is the user that it runs as, if root starts it.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        user: str | None = None,
        **options: Any,
    ) -> None:
        self._process = subprocess.Popen(
            [str(part) for part in command],
            env=environment,
            cwd=folder,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            start_new_session=True,
            **options,
        )
        self.stdin = self._process.stdin

    @property
    def running(self) -> bool:
        """Return whether the first process of the tree is alive."""
        return self._process.poll() is None

    def cpu_seconds(self) -> float:
        """Return the CPU time of the tree in seconds, including children that have ended."""
        return cpu_seconds(self._process.pid)

    def memory_mib(self) -> float:
        """Return the resident memory of the tree, in MiB."""
        return memory_mib(self._process.pid)

    def kill(self) -> None:
        """Kill the whole tree at once, as the loss of a machine would."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self.stdin:
            self.stdin.close()
        self._process.wait()


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its descendants, in seconds."""
    ticks = 0
    for each in _tree(pid):
        fields = _read(each, "stat").rpartition(")")[2].split()
        # utime, stime, and those of children that have ended.
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS


def memory_mib(pid: int) -> float:
    """Return the resident memory of a process and its descendants, in MiB."""
    return sum(int(_read(each, "statm").split()[1]) * _PAGE / 2**20 for each in _tree(pid))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for child in _read(pid, f"task/{pid}/children").split():
        yield from _tree(int(child))


def _read(pid: int, name: str) -> str:
    """Return a file of /proc; for a process that has just ended, one that shows no usage."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ") " + "0 " * 40 if name in ("stat", "statm") else ""
