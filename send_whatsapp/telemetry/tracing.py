"""Traces, from the starter to the provider's response. Off unless an OTLP endpoint is set."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import ProxyTracerProvider, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from temporalio.plugin import SimplePlugin

FLUSH_WITHIN_S = 3.0

_NAME = "send_whatsapp"


def set_up(endpoint: str | None, service: str) -> None:
    """Record the traces of this process and send them to `endpoint` (OTLP over HTTP).

    Does nothing without an endpoint, or if the program already has a tracer provider. The
    `OTEL_*` variables of OpenTelemetry set everything else, such as OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_TRACES_SAMPLER and OTEL_SERVICE_NAME (`service` by default).
    """
    if endpoint is None or not isinstance(trace.get_tracer_provider(), ProxyTracerProvider):
        return
    # Imported only if needed, since these imports add 0.2 s to the start of every command.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import SpanLimits
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from temporalio.contrib.opentelemetry import create_tracer_provider

    chosen = OTELResourceDetector().detect().attributes
    provider = create_tracer_provider(
        resource=Resource.create({SERVICE_NAME: service, **chosen}),
        # Events contain messages of exceptions, which may contain personal data.
        span_limits=SpanLimits(max_events=0),
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    trace.set_tracer_provider(provider)


def plugins() -> list[SimplePlugin]:
    """Return the plugins of a Temporal client that record traces; empty without traces."""
    if isinstance(trace.get_tracer_provider(), ProxyTracerProvider):
        return []
    from temporalio.contrib.opentelemetry import OpenTelemetryPlugin

    return [OpenTelemetryPlugin(add_temporal_spans=True)]


def provider_call(route: str, status: str, seconds: float) -> None:
    """Record an HTTP call that has just ended, as a span of the activity that made it.

    `route` is the method and the template of the path, `status` the HTTP status or `lost`. The
    attributes follow OpenTelemetry's conventions for HTTP.
    """
    method, _, template = route.partition(" ")
    ended = time.time_ns()
    attributes: dict[str, str | int] = {"http.request.method": method, "url.template": template}
    failed = not status.isdigit() or int(status) >= 400
    if status.isdigit():
        attributes["http.response.status_code"] = int(status)
    if failed:
        attributes["error.type"] = status
    span = trace.get_tracer(_NAME).start_span(
        route, kind=SpanKind.CLIENT, attributes=attributes, start_time=ended - int(seconds * 1e9)
    )
    if failed:
        span.set_status(StatusCode.ERROR)
    span.end(ended)


@contextmanager
def request(scope: Mapping[str, Any]) -> Iterator[None]:
    """Record an HTTP request to the gateway, given as its ASGI scope, as a span.

    The span belongs to the caller's trace if the request names one. It has the route's template,
    never the path; the caller's baggage is ignored.
    """
    trace_headers = {
        name.decode(): value.decode("latin-1")
        for name, value in scope["headers"]
        if name in (b"traceparent", b"tracestate")
    }
    with trace.get_tracer(_NAME).start_as_current_span(
        scope["method"],
        context=TraceContextTextMapPropagator().extract(trace_headers),
        kind=SpanKind.SERVER,
        attributes={"http.request.method": scope["method"]},
    ) as span:
        yield
        route = getattr(scope.get("route"), "path", "-")
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.route", route)


def flush() -> None:
    """Send the recorded spans before the process exits; give up after `FLUSH_WITHIN_S` seconds."""
    force_flush = getattr(trace.get_tracer_provider(), "force_flush", None)
    if force_flush:
        # The SDK's own time limit does not work if the collector does not answer.
        sending = threading.Thread(target=force_flush, daemon=True)
        sending.start()
        sending.join(FLUSH_WITHIN_S)
