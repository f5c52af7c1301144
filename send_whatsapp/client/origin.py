"""Who started a run, for which caller and why, and who hears of its end: its memo says so."""

from typing import Any, Final, Self

from pydantic import BaseModel
from temporalio.client import WorkflowExecution
from temporalio.common import Priority

from send_whatsapp.contract.names import CALLBACK_MEMO

CALLER_MEMO: Final = "caller"
"""Memo: the name of the gateway's caller that owns the run (docs/callers.md)."""

STARTED_BY_MEMO: Final = "startedBy"
REASON_MEMO: Final = "reason"
"""Memos of runs that a person starts again: who did it, and why."""

MAX_FAIRNESS_KEY_BYTES: Final = 64


class Origin(BaseModel):
    """Who starts a run: the `caller` that owns it, the person that started it again, and why.

    `callback` is the name of the callback that hears how the run ends. `takes_any_run`: the id
    belongs to more than one caller, such as that of a webhook, so that a run of another caller
    under this id is no conflict.
    """

    caller: str | None = None
    started_by: str | None = None
    reason: str | None = None
    callback: str | None = None
    takes_any_run: bool = False

    @classmethod
    async def of(cls, run: WorkflowExecution) -> Self:
        """Return the origin of a run that was described or listed."""
        return cls(
            caller=await _memo_text(run, CALLER_MEMO),
            started_by=await _memo_text(run, STARTED_BY_MEMO),
            reason=await _memo_text(run, REASON_MEMO),
            callback=await _memo_text(run, CALLBACK_MEMO),
        )

    def memo(self) -> dict[str, Any]:
        """Return the memo of a run with this origin."""
        fields = {
            CALLER_MEMO: self.caller,
            STARTED_BY_MEMO: self.started_by,
            REASON_MEMO: self.reason,
            CALLBACK_MEMO: self.callback,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def again(self, earlier: "Origin") -> "Origin":
        """Return the origin of a run that sends again what a run with the `earlier` origin sent.

        Without a caller of its own, it keeps the earlier caller, and the earlier callback unless it
        has another one.
        """
        if self.caller is not None:
            return self
        callback = self.callback or earlier.callback
        return self.model_copy(update={"caller": earlier.caller, "callback": callback})

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
