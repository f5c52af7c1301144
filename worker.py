"""The worker: settings -> Temporal and provider clients -> Worker, until SIGTERM or SIGINT."""

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.worker import PollerBehaviorAutoscaling, UnsandboxedWorkflowRunner, Worker

from activities.group_sending import REPORT_EVERY_S, log_fields
from activities.key_monitor import KeyMonitor
from activities.provider import START_TO_CLOSE_MARGIN_S
from activities.turn_ends import TurnEndActivities
from send_whatsapp.cgb.client import CGBClient
from send_whatsapp.cgb.errors import CGBError
from send_whatsapp.contract.turns import keeper_task_queue
from send_whatsapp.settings import (
    SettingsError,
    TemporalSettings,
    WorkerSettings,
    load_catalogue,
    unknown_variables,
)
from send_whatsapp.telemetry import logs, metrics, tracing
from send_whatsapp.telemetry.metrics import ProviderMetrics
from send_whatsapp.temporal import connection
from send_whatsapp.temporal.process import collect_garbage_seldom, exit_now
from send_whatsapp.temporal.search_attributes import register_search_attributes
from worker_activities import all_activities
from workflows.send_batch import SendWhatsAppBatch
from workflows.send_part import SendWhatsAppBatchPart
from workflows.send_whatsapp import SendWhatsApp
from workflows.set_opt_out import SetOptOut
from workflows.turn_keeper import TurnKeeper

logger = logging.getLogger("worker")

WORKFLOWS: Sequence[type] = (SendWhatsApp, SendWhatsAppBatch, SendWhatsAppBatchPart, SetOptOut)

SHUTDOWN_MARGIN_S = 10
"""Seconds that a running activity gets after the deadline of its calls when the worker stops."""

CONNECT_WITHIN_S = 30


class CannotStart(Exception):
    """The worker cannot work. The message is one line that says what to do."""


class KeyRefused(CannotStart):
    """The provider refuses the key, at the start or later."""

    def __init__(self) -> None:
        super().__init__(
            "The provider refuses the key, so this worker stops: correct CGB_API_KEY; for example"
            " CGB_API_KEY=the key from the provider's settings page"
        )


def main() -> None:
    """Run the worker. If it cannot start, print one line to stderr and exit with code 1."""
    try:
        settings = WorkerSettings.load()
        TemporalSettings.load()
    except SettingsError as error:
        sys.exit(str(error))
    logs.set_up(settings.log_level, settings.log_format, log_fields)
    tracing.set_up(settings.otlp_endpoint, "send-whatsapp-worker")
    for warning in unknown_variables():
        logger.warning(warning)
    code = 1
    try:
        asyncio.run(run(settings))
        code = 0
    except (CannotStart, SettingsError) as error:
        print(error, file=sys.stderr)
    except Exception as error:
        logger.critical("the worker failed", exc_info=error)
    exit_now(code)


async def run(settings: WorkerSettings) -> None:
    """Serve the task queue until SIGTERM or SIGINT, then let running activities finish."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    catalogue = load_catalogue(settings.templates_file)
    runtime = start_runtime(settings.metrics_bind)
    provider_metrics = ProviderMetrics(runtime.metric_meter)

    def observe(route: str, status: str, seconds: float) -> None:
        provider_metrics.provider_call(route, status, seconds)
        tracing.provider_call(route, status, seconds)

    key = settings.api_key.get_secret_value()
    async with CGBClient(settings.api_url, key, observe=observe) as provider:
        monitor = KeyMonitor(provider, settings.timeout_s)
        await check_key(monitor)
        client = await connect(runtime)
        search_attributes = await register_search_attributes(client)
        activities = all_activities(
            settings,
            provider,
            monitor,
            provider_metrics,
            catalogue,
            search_attributes=search_attributes,
        )
        async with build_keeper(client, settings), build_worker(client, settings, activities):
            collect_garbage_seldom()
            logger.info("serving task queue %s", settings.task_queue)
            await until_stopped(stop, monitor)
            logger.info("stopping; running activities may finish")
    if monitor.refused.is_set():
        raise KeyRefused
    logger.info("stopped")


async def until_stopped(stop: asyncio.Event, monitor: KeyMonitor) -> None:
    """Wait for a signal, or until the provider refuses the key."""
    checking = asyncio.create_task(monitor.check_until_answered())
    waiting = [asyncio.create_task(event.wait()) for event in (stop, monitor.refused)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in (checking, *waiting):
        task.cancel()


def start_runtime(metrics_bind: str | None) -> Runtime:
    """Return the SDK's runtime with its metrics endpoint. Raises CannotStart."""
    try:
        return metrics.runtime(metrics_bind)
    except (OSError, ValueError) as error:
        raise CannotStart(
            f"METRICS_BIND cannot be used ({error}); for example METRICS_BIND=127.0.0.1:9464"
        ) from None


async def check_key(monitor: KeyMonitor) -> None:
    """Raise KeyRefused if the provider refuses the key; log a warning if it cannot be checked."""
    try:
        await monitor.check()
    except CGBError as error:
        logger.warning("could not check the provider's key (%s); starting anyway", error)
    if monitor.refused.is_set():
        raise KeyRefused


async def connect(runtime: Runtime, within_s: float = CONNECT_WITHIN_S) -> Client:
    """Return a Temporal client; try for `within_s` seconds, then raise CannotStart."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        try:
            return await connection.connect(runtime)
        except connection.TemporalUnavailable as error:
            if loop.time() + 1 > deadline:
                raise CannotStart(str(error)) from error
            logger.warning("Temporal does not answer yet, trying again")
            await asyncio.sleep(1)


def build_worker(client: Client, settings: WorkerSettings, activities: Sequence[Any]) -> Worker:
    """Return the worker of the task queue, with every workflow and these activities."""
    per_minute = settings.max_requests_per_minute
    # A send may have to ask whether the person has opted out, and then makes two requests.
    requests = 2 if settings.opt_out == "respect" else 1
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=WORKFLOWS,
        activities=activities,
        # The sandbox costs a third of the worker's CPU; tests replay every path in it (ADR 0005).
        workflow_runner=UnsandboxedWorkflowRunner(),
        # With the default of 5 pollers tasks wait: p95 is 4.8 s instead of 1.6 s with 50 in flight.
        workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
        activity_task_poller_behavior=PollerBehaviorAutoscaling(),
        # After a worker is killed, its runs wait this long before another worker takes them.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=5),
        graceful_shutdown_timeout=timedelta(seconds=settings.timeout_s + SHUTDOWN_MARGIN_S),
        max_task_queue_activities_per_second=per_minute / 60 / requests if per_minute else None,
        # Eager activities do not pass through the task queue, so its rate limit misses them.
        disable_eager_activity_execution=per_minute is not None,
        # Otherwise the reports of a group are held back for half a minute.
        max_heartbeat_throttle_interval=timedelta(seconds=REPORT_EVERY_S),
        default_heartbeat_throttle_interval=timedelta(seconds=REPORT_EVERY_S),
        on_fatal_error=_log_fatal,
    )


def build_keeper(client: Client, settings: WorkerSettings) -> Worker:
    """Return the worker of the keeper of turns; it has a task queue of its own (ADR 0008)."""
    ends = TurnEndActivities(settings.timeout_s + START_TO_CLOSE_MARGIN_S)
    return Worker(
        client,
        task_queue=keeper_task_queue(settings.task_queue),
        workflows=[TurnKeeper],
        activities=[ends.find_ended_turns],
        no_remote_activities=True,
        workflow_runner=UnsandboxedWorkflowRunner(),
        # After the worker that has the keeper in its cache is killed, sends wait this long for it.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        on_fatal_error=_log_fatal,
    )


async def _log_fatal(error: BaseException) -> None:
    logger.critical("the worker stops after a fatal error", exc_info=error)


if __name__ == "__main__":
    main()
