"""Talking to the Temporal server: connection, search attributes, histories, task queues."""
