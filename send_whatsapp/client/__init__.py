"""The Python client: starts sends and batches, waits for them, and reads their state."""
