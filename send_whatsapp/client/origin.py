"""Who started a run, for which caller and why: what the memo of the run says."""

from typing import Any, Final, Self

from pydantic import BaseModel
from temporalio.client import WorkflowExecution
from temporalio.common import Priority

CALLER_MEMO: Final = "caller"
"""Memo: the name of the gateway's caller that owns the run (docs/callers.md)."""

STARTED_BY_MEMO: Final = "startedBy"
REASON_MEMO: Final = "reason"
"""Memos of runs that a person starts again: who did it, and why."""

MAX_FAIRNESS_KEY_BYTES: Final = 64


class Origin(BaseModel):
    """Who starts a run: the `caller` that owns it, the person that started it again, and why.

    `takes_any_run`: the id belongs to more than one caller, such as that of a webhook, so a run of
    another caller under this id is no conflict.
    """

    caller: str | None = None
    started_by: str | None = None
    reason: str | None = None
    takes_any_run: bool = False

    @classmethod
    async def of(cls, run: WorkflowExecution) -> Self:
        """Return the origin of a run that was described or listed."""
        return cls(
            caller=await _memo_text(run, CALLER_MEMO),
            started_by=await _memo_text(run, STARTED_BY_MEMO),
            reason=await _memo_text(run, REASON_MEMO),
        )

    def memo(self, keeping: str | None = None) -> dict[str, Any]:
        """Return the memo of a run with this origin.

        Without a caller of its own, the run belongs to the caller `keeping`, whose message it sends
        again.
        """
        fields = {
            CALLER_MEMO: self.caller or keeping,
            STARTED_BY_MEMO: self.started_by,
            REASON_MEMO: self.reason,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def may_take(self, other: "Origin") -> bool:
        """Return whether a starter with this origin may use an id whose run has the `other`."""
        return self.caller in (None, other.caller) or self.takes_any_run

    @property
    def priority(self) -> Priority:
        """The priority of a single send: the tasks of different callers share the queue fairly."""
        if self.caller is None:
            return Priority.default
        key = self.caller.encode()[:MAX_FAIRNESS_KEY_BYTES].decode(errors="ignore")
        return Priority(fairness_key=key)


async def _memo_text(run: WorkflowExecution, name: str) -> str | None:
    """Return a memo; None if it is missing, is not text or cannot be decoded."""
    try:
        value = await run.memo_value(name, None)
    except Exception:  # anybody may start a run with any memo
        return None
    return value if isinstance(value, str) else None
