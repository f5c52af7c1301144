"""Metrics: the SDK's Prometheus endpoint, with our own metrics beside the SDK's."""

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
    """Return a runtime of the SDK that logs through Python's logging.

    If `bind` (host:port) is given, the runtime serves the metrics at `http://{bind}/metrics`.
    Raises OSError if the host has no address, ValueError if the port cannot be opened.
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
    """Return host:port with an IP address, since the SDK does not resolve names."""
    host, _, port = bind.rpartition(":")
    kind, *_, found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    return f"[{found[0]}]:{port}" if kind == socket.AF_INET6 else f"{found[0]}:{port}"


class ProviderMetrics:
    """Our metrics of provider calls and caches. Without an endpoint they record nothing."""

    def __init__(self, meter: MetricMeter) -> None:
        self._latency = meter.create_histogram_float(
            f"{PREFIX}provider_call_duration",
            "Duration of one HTTP call to the provider",
            "seconds",
        )
        self._cache = meter.create_counter(
            f"{PREFIX}cache_lookups",
            "Lookups that a cache answered (hit) or that needed a call (miss)",
        )
        self._waits = meter.create_counter(
            f"{PREFIX}rate_limit_waits",
            "Times that a 429 or 425 of the provider made an activity wait",
        )

    def provider_call(self, route: str, status: str, seconds: float) -> None:
        """Record one HTTP call. `status` is the HTTP status, or `lost` without a response."""
        self._latency.record(seconds, {"route": route, "status": status})

    def cache(self, name: str, hit: bool) -> None:
        """Record one lookup in a cache."""
        self._cache.add(1, {"cache": name, "result": "hit" if hit else "miss"})

    def rate_limit_wait(self) -> None:
        """Record that a rate limit of the provider makes an activity wait."""
        self._waits.add(1)
