"""The worker: settings -> Temporal client + provider client -> Worker, until SIGTERM or SIGINT."""

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

from activities.contacts import ContactActivities
from activities.flows import FlowActivities
from activities.messages import MessageActivities
from activities.parts import PartActivities
from activities.preparation import PreparationActivities
from activities.provider import Provider
from activities.retries import RetryLimits
from send_whatsapp.cgb.client import Budget, CGBClient
from send_whatsapp.cgb.errors import CGBError, Unauthorized
from send_whatsapp.settings import (
    SettingsError,
    TemporalSettings,
    WorkerSettings,
    unknown_variables,
)
from send_whatsapp.telemetry import logs, metrics, tracing
from send_whatsapp.telemetry.metrics import ProviderMetrics
from send_whatsapp.temporal import connection
from send_whatsapp.temporal.process import leave
from send_whatsapp.temporal.search_attributes import register_search_attributes
from workflows.send_batch import SendWhatsAppBatch
from workflows.send_part import SendWhatsAppBatchPart
from workflows.send_whatsapp import SendWhatsApp

logger = logging.getLogger("worker")

GRACE_S = 10
"""Beyond its calls' deadline, the time an activity gets to end before the worker stops."""

CONNECT_WITHIN_S = 30


class CannotStart(Exception):
    """The worker cannot do its job; the message is one line that says what to do."""


async def connect(runtime: Runtime, within_s: float = CONNECT_WITHIN_S) -> Client:
    """Return a client of the server that `TEMPORAL_*` names; raise CannotStart without answer."""
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


async def check_key(client: CGBClient, timeout_s: float) -> None:
    """Raise CannotStart where the provider refuses the key; only warn where it does not answer."""
    try:
        account = await client.account(Budget.of(timeout_s, "worker-start"))
    except Unauthorized as error:
        raise CannotStart(
            f"The provider refuses the key (code {error.status}): correct CGB_API_KEY; for example"
            " CGB_API_KEY=the key from the provider's settings page"
        ) from error
    except CGBError as error:
        logger.warning("could not check the provider's key (%s), going on", error)
    else:
        logger.info("the key belongs to account %s", account.id or "without an id")


def all_activities(
    settings: WorkerSettings,
    client: CGBClient,
    figures: ProviderMetrics,
    *,
    search_attributes: bool,
) -> Sequence[Any]:
    """Return every activity, built from the settings and the provider's client."""
    key = settings.api_key.get_secret_value()
    provider = Provider(client, key, settings.timeout_s, figures.rate_limit_wait)
    one_request = settings.max_requests_per_minute is not None
    contacts = ContactActivities(
        provider,
        region=settings.default_region,
        cache_timeout_s=settings.cache_timeout_s,
        one_request=one_request,
        on_cache=figures.cache,
    )
    flows = FlowActivities(
        provider,
        configured=settings.templates,
        cache_timeout_s=settings.cache_timeout_s,
        on_cache=figures.cache,
    )
    messages = MessageActivities(provider, contacts)
    preparation = PreparationActivities(
        contacts,
        flows,
        timeout_s=settings.timeout_s,
        retry=RetryLimits(attempts=settings.retry_attempts + 1, retry_for_s=settings.retry_for_s),
        search_attributes=search_attributes,
        one_request=one_request,
    )
    return [
        preparation.prepare,
        contacts.resolve_contact,
        flows.find_flow,
        messages.send_text,
        messages.send_flow,
        messages.send_file,
        messages.stop_retries,
        messages.end_overdue_attempt,
        preparation.prepare_rows,
        PartActivities().part_status,
    ]


WORKFLOWS: Sequence[type] = (SendWhatsApp, SendWhatsAppBatch, SendWhatsAppBatchPart)


def build_worker(client: Client, settings: WorkerSettings, activities: Sequence[Any]) -> Worker:
    """Return the worker of the task queue, with every workflow and activity."""
    per_minute = settings.max_requests_per_minute
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=WORKFLOWS,
        activities=activities,
        # The sandbox costs a third of the worker's CPU; tests replay every path in it (ADR 0005).
        workflow_runner=UnsandboxedWorkflowRunner(),
        # The defaults (5 pollers) leave tasks waiting: p95 4.8 s against 1.6 s with 50 in flight.
        workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
        activity_task_poller_behavior=PollerBehaviorAutoscaling(),
        # The runs of a killed worker wait this long for it before another one takes them.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=5),
        # SIGTERM lets what is in flight end; only what outlives its deadline is cut off.
        graceful_shutdown_timeout=timedelta(seconds=settings.timeout_s + GRACE_S),
        max_task_queue_activities_per_second=per_minute / 60 if per_minute else None,
        # A limit on activities is one on requests: with it each makes one request at most.
        # Eager execution goes around the queue, and so around its rate limit.
        disable_eager_activity_execution=per_minute is not None,
        on_fatal_error=_log_fatal,
    )


async def _log_fatal(error: BaseException) -> None:
    logger.critical("the worker cannot go on", exc_info=error)


async def run(settings: WorkerSettings) -> None:
    """Serve the task queue until SIGTERM or SIGINT, then let end what is in flight."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        runtime = metrics.runtime(settings.metrics_bind)
    except (OSError, ValueError) as error:
        raise CannotStart(
            f"METRICS_BIND cannot be listened on ({error}); for example METRICS_BIND=127.0.0.1:9464"
        ) from None
    figures = ProviderMetrics(runtime.metric_meter)
    key = settings.api_key.get_secret_value()

    def observe(route: str, status: str, seconds: float) -> None:
        figures.provider_call(route, status, seconds)
        tracing.provider_call(route, status, seconds)

    async with CGBClient(settings.api_url, key, observe=observe) as provider:
        await check_key(provider, settings.timeout_s)
        client = await connect(runtime)
        search_attributes = await register_search_attributes(client)
        activities = all_activities(
            settings, provider, figures, search_attributes=search_attributes
        )
        async with build_worker(client, settings, activities):
            logger.info("serving task queue %s", settings.task_queue)
            await stop.wait()
            logger.info("stopping, what is in flight may end")
    logger.info("stopped")


def main() -> None:
    """Run the worker of this process; end with one line and code 1 where it cannot start."""
    try:
        settings = WorkerSettings.load()
        TemporalSettings.load()
    except SettingsError as error:
        sys.exit(str(error))
    logs.set_up(settings.log_level, settings.log_format)
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
        logger.critical("the worker ended", exc_info=error)
    leave(code)


if __name__ == "__main__":
    main()
