"""What is sent: a text, a flow or a file, and the provider's acceptance."""

from datetime import datetime

from pydantic import BaseModel

from activities.retries import RetryLimits
from send_whatsapp.contract.attempts import FailedAttempt
from send_whatsapp.contract.fields import Delivery, FileType
from send_whatsapp.contract.turns import HeldTurn


class Send(BaseModel):
    """What every send needs.

    `origin_run_id` is the run that the send was made for; after a workflow reset it differs from
    the run of the activity. Nothing may be sent after `expires_at`. `failed_attempt` is an attempt
    that was made before this activity started, `turn` the turn that the send holds. `may_write_at`
    is the time at which the provider last showed that the person has not opted out; with
    `ignore_opt_out` that does not matter. The first attempt may not begin after
    `window_closes_at`.
    """

    contact_id: str
    delivery: Delivery
    retry: RetryLimits
    origin_run_id: str
    expires_at: datetime | None = None
    failed_attempt: FailedAttempt | None = None
    may_write_at: datetime | None = None
    ignore_opt_out: bool = False
    turn: HeldTurn | None = None
    window_closes_at: datetime | None = None


class SendText(Send):
    """A free text."""

    text: str


class SendFlow(Send):
    """A flow with its variables, as text by name."""

    flow_id: str
    variables: dict[str, str]


class SendFile(Send):
    """A file by its public URL."""

    url: str
    file_type: FileType


Message = SendText | SendFlow | SendFile
