"""`make load`: bursts of requests through gateway, worker and a real Temporal server."""
