"""What a batch and its parts signal each other while rows are sent."""

from pydantic import Field

from send_whatsapp.contract.batch import BatchModel, Counts
from send_whatsapp.contract.fields import Time

Flows = dict[str, dict[str, str | None]]
"""Results of the template lookup (`FlowMatch` as JSON) by template name."""


class PartControl(BatchModel):
    """Signal of a batch to one of its parts: start, or apply new settings (rate, pause, cancel).

    Messages with a lower sequence number than the last one are ignored. At most `in_flight` rows
    are in their first attempt at once; `per_minute` rows start a minute (None: no limit). A higher
    number of `resumes` ends a pause that the part started itself; a higher number of `wakes` means
    that the first send window opens that rows wait for.
    """

    batch: str
    sequence: int
    in_flight: int = 50
    per_minute: float | None = None
    pause_after: int = 20
    paused: bool = False
    resumes: int = 0
    wakes: int = 0
    cancelled: bool = False
    flows: Flows = Field(default_factory=dict)


class PartProgress(BatchModel):
    """Signal of a part to its batch: its rows by outcome, and whether the part has `ended`.

    `counts.running` are the rows that are `waiting` (not started yet), `in_flight` (in their first
    attempt), `in_queue` (waiting for their turn) or `retrying` (in or before a later attempt,
    because of `retry_reason`); the others wait `outside_window`, the first of them until
    `opens_at`. `wakes` is that of the last control message that the part has followed.
    `pause_reason` is set once, when the part has paused itself.
    """

    part: str
    counts: Counts
    waiting: int = 0
    in_flight: int = 0
    in_queue: int = 0
    retrying: int = 0
    retry_reason: str | None = None
    outside_window: int = 0
    opens_at: Time | None = None
    wakes: int = 0
    pause_reason: str | None = None
    ended: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether all its rows that have not ended wait for their send windows."""
        return 0 < self.outside_window == self.counts.running
