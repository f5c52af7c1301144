"""Examples in the OpenAPI document."""

REQUESTS = {
    "text": {"to": "+1234567890", "message": "Hello"},
    "template": {
        "to": "+1234567890",
        "template": "visa_approved",
        "variables": {"name": "John Doe", "fallback_message": "Your visa is approved!"},
    },
    "file": {
        "to": "+1234567890",
        "fileUrl": "https://example.com/visa.pdf",
        "fileType": "document",
    },
    "later": {"to": "+1234567890", "message": "Hello", "sendAt": "2027-01-31T09:00:00+01:00"},
    "by day": {
        "to": "+1234567890",
        "message": "Hello",
        "sendWindow": {"from": "09:00", "to": "20:00", "zone": "recipient"},
    },
}

BATCHES = {
    "one template": {
        "key": "jan-2027",
        "template": "visa_approved",
        "rows": [
            {"to": "+1234567890", "variables": {"name": "John Doe"}},
            {"to": "+1234567891", "variables": {"name": "Jane Doe"}},
        ],
        "perMinute": 600,
    }
}

RUNNING = {
    "id": "order-4711",
    "status": "running",
    "statusUrl": "/v1/messages/order-4711",
    "uiUrl": "http://127.0.0.1:8233/namespaces/default/workflows/order-4711",
}
CANCELLED = RUNNING | {"status": "cancelled"}
ACCEPTED = RUNNING | {
    "status": "accepted",
    "result": {
        "success": True,
        "contactId": "1234567890",
        "messageId": None,
        "to": "+1234567890",
        "timestamp": "2026-11-24T09:00:00Z",
        "sentAs": "text",
        "flowId": None,
        "fallbackReason": None,
    },
}
UNKNOWN = RUNNING | {
    "status": "unknown",
    "result": {
        "success": False,
        "contactId": None,
        "messageId": None,
        "to": None,
        "timestamp": None,
        "sentAs": None,
        "flowId": None,
        "fallbackReason": None,
        "error": {
            "type": "DeliveryUnknown",
            "message": "Nobody can know whether the message went out",
            "retryable": False,
        },
    },
}

BATCH_RUNNING = {
    "key": "jan-2027",
    "status": "running",
    "accepted": 1,
    "failed": 0,
    "unknown": 0,
    "cancelled": 0,
    "running": 1,
    "total": 2,
    "paused": False,
    "pauseReason": None,
    "inQueue": 0,
    "retrying": 0,
    "retryReason": None,
    "outsideWindow": 0,
    "windowOpensAt": None,
    "sendAt": None,
    "secondsLeft": 1,
    "statusUrl": "/v1/batches/jan-2027",
    "uiUrl": "http://127.0.0.1:8233/namespaces/default/workflows/batch-jan-2027",
}

REPORT = {
    "key": "jan-2027",
    "rows": [
        {
            "row": 1,
            "to": "+1234567890",
            "outcome": "accepted",
            "contactId": "1234567890",
            "errorType": None,
            "error": None,
            "finishedAt": "2026-11-24T09:00:00Z",
        }
    ],
}

OPT_OUT_RUNNING = {
    "id": "opt-out-8f14e45f",
    "status": "running",
    "optedOut": True,
    "uiUrl": "http://127.0.0.1:8233/namespaces/default/workflows/opt-out-8f14e45f",
}
OPT_OUT_DONE = OPT_OUT_RUNNING | {
    "status": "done",
    "result": {"to": "+1234567890", "optedOut": True, "unsubscribed": None, "respected": True},
}
