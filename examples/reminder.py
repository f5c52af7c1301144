"""Creates a Temporal Schedule that sends a reminder every morning at nine in Berlin."""

import asyncio
from datetime import timedelta

from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
)

from send_whatsapp.contract.names import DEFAULT_TASK_QUEUE, SEND_WORKFLOW
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.temporal.connection import connect

REMINDER = Schedule(
    action=ScheduleActionStartWorkflow(
        SEND_WORKFLOW,
        SendWhatsAppRequest(to="+1234567890", template="appointment_reminder", message="Today!"),
        # Temporal appends the time, so that each morning has a run of its own.
        id="python-reminder",
        task_queue=DEFAULT_TASK_QUEUE,
    ),
    spec=ScheduleSpec(
        calendars=[ScheduleCalendarSpec(hour=[ScheduleRange(9)])], time_zone_name="Europe/Berlin"
    ),
    policy=SchedulePolicy(
        overlap=ScheduleOverlapPolicy.ALLOW_ALL,
        # After an outage: a reminder that is more than an hour late is left out.
        catchup_window=timedelta(hours=1),
    ),
)


async def main() -> None:
    """Create it on the server that TEMPORAL_* names."""
    client = await connect()
    handle = await client.create_schedule("python-reminder", REMINDER)
    next_times = (await handle.describe()).info.next_action_times
    print(f"The next reminder goes out at {next_times[0].isoformat()}")


if __name__ == "__main__":
    asyncio.run(main())
