"""A collector of traces in the test process: real HTTP, and the spans that came by OTLP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector:
    """What came so far."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)

    def spans(self) -> list[tuple[str, Span]]:
        """Return each span with the service that sent it."""
        found = []
        for body in list(self.bodies):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                named = {a.key: a.value.string_value for a in resource.resource.attributes}
                for scope in resource.scope_spans:
                    found += [(named["service.name"], span) for span in scope.spans]
        return found

    def of(self, trace: bytes) -> list[Span]:
        """Return the spans of a trace."""
        return [span for _, span in self.spans() if span.trace_id == trace]

    def path(self, trace: bytes, name: str, caller: bytes = b"") -> list[tuple[str, str]]:
        """Return service and name of a trace's span, then of each span above it.

        The uppermost is the root, or a child of the `caller` that sends us no spans.
        """
        spans = {s.span_id: (service, s) for service, s in self.spans() if s.trace_id == trace}
        above = next(span.span_id for _, span in spans.values() if span.name == name)
        found = []
        while above in spans:
            service, span = spans[above]
            found.append((service, span.name))
            above = span.parent_span_id
        assert above == caller, "a span's parent is missing"
        return found


@contextmanager
def collector() -> Iterator[Collector]:
    """Run a collector until the block ends."""
    running = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            running.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
