"""Our worker as it would be without turns, to measure what they cost."""

import worker
from send_whatsapp.contract.request import SendWhatsAppRequest

if __name__ == "__main__":
    SendWhatsAppRequest.takes_turn = property(lambda _: False)  # type: ignore[method-assign,assignment]
    worker.main()
