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

from send_whatsapp import SendWhatsAppRequest, connect
from send_whatsapp.contract.names import DEFAULT_TASK_QUEUE, SEND_WORKFLOW

REMINDER_ID = "python-reminder"

REMINDER = Schedule(
    action=ScheduleActionStartWorkflow(
        SEND_WORKFLOW,
        SendWhatsAppRequest(to="+1234567890", template="appointment_reminder", message="Today!"),
        # Temporal appends the time, so the run of each morning has a different id.
        id=REMINDER_ID,
        task_queue=DEFAULT_TASK_QUEUE,
    ),
    spec=ScheduleSpec(
        calendars=[ScheduleCalendarSpec(hour=[ScheduleRange(9)])], time_zone_name="Europe/Berlin"
    ),
    policy=SchedulePolicy(
        overlap=ScheduleOverlapPolicy.ALLOW_ALL,
        # A reminder that an outage delays by more than an hour is not sent.
        catchup_window=timedelta(hours=1),
    ),
)


async def main() -> None:
    """Create the schedule on the server that the TEMPORAL_* variables name."""
    client = await connect()
    handle = await client.create_schedule(REMINDER_ID, REMINDER)
    next_times = (await handle.describe()).info.next_action_times
    print(f"The next reminder is sent at {next_times[0].isoformat()}")


if __name__ == "__main__":
    asyncio.run(main())
