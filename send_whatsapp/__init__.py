"""Send WhatsApp messages through Temporal: the public Python API.

Start a send and wait for the provider's answer:

    from send_whatsapp import SendWhatsAppRequest, connect, send

    request = SendWhatsAppRequest(to="+1234567890", message="Hello")
    result = await send(await connect(), request, key="order-4711")

`key` is the idempotency key: the same key with the same request sends one message.

The names of send_whatsapp/client/api.py are imported when somebody uses them: the worker imports
this package too, and must not load the client.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from send_whatsapp.client.api import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        if not name.startswith("_"):
            api = import_module("send_whatsapp.client.api")
            if name in api.__all__:
                return getattr(api, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
