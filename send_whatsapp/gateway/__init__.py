"""The HTTP gateway: messages, batches and webhooks for systems that do not speak Temporal."""
