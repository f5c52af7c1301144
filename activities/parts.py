"""Lets a batch read the status of a part that has not reported for a while."""

from pydantic import BaseModel
from temporalio import activity

from activities.failures import map_unexpected_errors
from send_whatsapp.contract.batch import Counts
from send_whatsapp.temporal.part_history import part_outcomes


class PartStatus(BaseModel):
    """The rows of a part by outcome; none of them is `running` once the part is closed."""

    counts: Counts

    @property
    def closed(self) -> bool:
        """Whether the part is closed, or does not exist."""
        return not self.counts.running


class PartActivities:
    """Reads parts from the server that the batch runs on."""

    @activity.defn
    async def part_status(self, part: str) -> PartStatus:
        """Return the status of a part; one that does not exist has no rows."""
        with map_unexpected_errors():
            return PartStatus(counts=Counts.of(await part_outcomes(activity.client(), part)))
