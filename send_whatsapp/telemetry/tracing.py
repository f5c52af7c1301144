"""Traces: one from the starter to the provider's answer, off until an OTLP endpoint is set."""

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

    Without an endpoint, or where the program around us has a tracer provider of its own, nothing
    changes. Everything else is set by OpenTelemetry's own variables: OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME (by default `service`) and so on.
    """
    if endpoint is None or not isinstance(trace.get_tracer_provider(), ProxyTracerProvider):
        return
    # Imported where they are needed: a fifth of a second, which a command would pay each time.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import SpanLimits
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from temporalio.contrib.opentelemetry import create_tracer_provider

    chosen = OTELResourceDetector().detect().attributes
    provider = create_tracer_provider(
        resource=Resource.create({SERVICE_NAME: service, **chosen}),
        # An event holds an exception's words and stack, and any library may put data into those.
        span_limits=SpanLimits(max_events=0),
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    trace.set_tracer_provider(provider)


def plugins() -> list[SimplePlugin]:
    """Return the SDK's tracing for a Temporal client; nothing where no traces are recorded."""
    if isinstance(trace.get_tracer_provider(), ProxyTracerProvider):
        return []
    from temporalio.contrib.opentelemetry import OpenTelemetryPlugin

    return [OpenTelemetryPlugin(add_temporal_spans=True)]


def provider_call(route: str, status: str, seconds: float) -> None:
    """Record an HTTP call that has just ended, as a span of the activity that made it.

    Its names are those of OpenTelemetry's HTTP conventions; the path is the route's template.
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
    """Record an HTTP request that we answer (its ASGI scope), in the caller's trace if it has one.

    The span bears the route, never the path; of the caller's headers only the trace is taken on.
    """
    ours = (b"traceparent", b"tracestate")
    named = {n.decode(): v.decode("latin-1") for n, v in scope["headers"] if n in ours}
    with trace.get_tracer(_NAME).start_as_current_span(
        scope["method"],
        context=TraceContextTextMapPropagator().extract(named),
        kind=SpanKind.SERVER,
        attributes={"http.request.method": scope["method"]},
    ) as span:
        yield
        route = getattr(scope.get("route"), "path", "-")
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.route", route)


def flush() -> None:
    """Send what is recorded, before this process leaves at once; give up where that takes long."""
    force_flush = getattr(trace.get_tracer_provider(), "force_flush", None)
    if force_flush:
        # The SDK's own time limit has no effect on a collector that does not answer.
        sending = threading.Thread(target=force_flush, daemon=True)
        sending.start()
        sending.join(FLUSH_WITHIN_S)
