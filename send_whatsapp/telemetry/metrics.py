"""Metrics: the SDK's Prometheus endpoint, and our own figures on the same one."""

import logging
import socket

from temporalio.common import MetricMeter
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

PREFIX = "send_whatsapp_"

_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0]


def runtime(bind: str | None) -> Runtime:
    """Return the SDK's runtime: its logs in ours, metrics at `http://{bind}/metrics` if given.

    Raises OSError for a host that has no address, ValueError for one that cannot be listened on.
    """
    metrics = bind and PrometheusConfig(
        bind_address=_address(bind),
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
        histogram_bucket_overrides={
            f"{PREFIX}provider_call_duration": _SECONDS,
            f"{PREFIX}time_to_accepted": _SECONDS,
        },
    )
    forwarding = LogForwardingConfig(
        logging.getLogger("temporalio.core"),
        append_target_to_name=False,
        prepend_target_on_message=False,
        append_log_fields_to_message=False,
    )
    return Runtime(
        telemetry=TelemetryConfig(
            logging=LoggingConfig(
                TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=forwarding
            ),
            metrics=metrics or None,
        )
    )


def _address(bind: str) -> str:
    """Return host:port with the host's address, since the SDK looks no name up."""
    host, _, port = bind.rpartition(":")
    kind, *_, found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    return f"[{found[0]}]:{port}" if kind == socket.AF_INET6 else f"{found[0]}:{port}"


class ProviderMetrics:
    """What the activities and the provider's client tell of themselves."""

    def __init__(self, meter: MetricMeter) -> None:
        """Create the instruments; without a metrics endpoint they record nothing."""
        self._latency = meter.create_histogram_float(
            f"{PREFIX}provider_call_duration", "Time of one HTTP call to the provider", "seconds"
        )
        self._cache = meter.create_counter(
            f"{PREFIX}cache_lookups", "Answers a cache gave (hit) or a call had to (miss)"
        )
        self._waits = meter.create_counter(
            f"{PREFIX}rate_limit_waits", "Times a 429 or 425 of the provider makes us wait"
        )

    def provider_call(self, route: str, status: str, seconds: float) -> None:
        """Record one HTTP call, lost answers included."""
        self._latency.record(seconds, {"route": route, "status": status})

    def cache(self, name: str, hit: bool) -> None:
        """Record that a cache gave an answer, or could not."""
        self._cache.add(1, {"cache": name, "result": "hit" if hit else "miss"})

    def rate_limit_wait(self) -> None:
        """Record that the provider makes us wait."""
        self._waits.add(1)
