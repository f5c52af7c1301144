"""Creates a Temporal Schedule that sends a reminder every morning at nine in Berlin."""

import asyncio
import sys
from datetime import timedelta

from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
)

from send_whatsapp import SendWhatsAppRequest, TemporalUnavailable, connect
from send_whatsapp.contract.names import DEFAULT_TASK_QUEUE, SEND_WORKFLOW
from send_whatsapp.settings import SettingsError
from send_whatsapp.temporal.process import exit_now

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
    try:
        client = await connect()
    except (SettingsError, TemporalUnavailable) as error:
        sys.exit(str(error))
    try:
        handle = await client.create_schedule(REMINDER_ID, REMINDER)
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(REMINDER_ID)
        print(
            "The schedule exists already and was not changed. To create it anew, first run:"
            f" temporal schedule delete --schedule-id {REMINDER_ID}"
        )
    info = (await handle.describe()).info
    for time in info.next_action_times[:1]:
        print(f"The next reminder is sent at {time.isoformat()}")


if __name__ == "__main__":
    asyncio.run(main())
    # Otherwise the SDK may abort while the interpreter shuts down (sdk-python issue 300).
    exit_now(0)
