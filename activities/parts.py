"""What a batch asks about its parts: how many rows of a silent one ended how."""

from pydantic import BaseModel
from temporalio import activity

from activities.failures import map_unexpected_errors
from send_whatsapp.contract.batch import Counts
from send_whatsapp.temporal.part_history import part_outcomes


class PartStatus(BaseModel):
    """The rows of a part by outcome; `running` only while the part is."""

    counts: Counts

    @property
    def closed(self) -> bool:
        """Return whether nothing goes on any more."""
        return not self.counts.running


class PartActivities:
    """Reads parts from the server that the batch runs on."""

    @activity.defn
    async def part_status(self, part: str) -> PartStatus:
        """Return how a part stands; one that was never handed over has no rows."""
        with map_unexpected_errors():
            rows = await part_outcomes(activity.client(), part)
            return PartStatus(counts=Counts.of([row.outcome for row in rows]))
