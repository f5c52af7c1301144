"""The search attributes of a run, by which operators filter the list of runs."""

from typing import Final

from temporalio.common import SearchAttributeKey

OUTCOME: Final = SearchAttributeKey.for_keyword("WhatsAppOutcome")
"""`running`, then `accepted`, `failed`, `unknown` or `cancelled`."""

KIND: Final = SearchAttributeKey.for_keyword("WhatsAppKind")
"""What was sent (until then: requested): `text`, `template` or `media`."""

TEMPLATE: Final = SearchAttributeKey.for_keyword("WhatsAppTemplate")
"""The template name in the request."""

PHONE_LAST4: Final = SearchAttributeKey.for_keyword("WhatsAppPhoneLast4")
"""Last four digits of the recipient's number."""

ERROR_TYPE: Final = SearchAttributeKey.for_keyword("WhatsAppErrorType")
"""Type of the failure, from contract/errors.py."""

PROGRESS: Final = SearchAttributeKey.for_keyword("WhatsAppProgress")
"""Progress of a batch, as a sentence."""

ROWS_LAST4: Final = SearchAttributeKey.for_keyword_list("WhatsAppRowsLast4")
"""Last four digits of each number that a part of a batch sends to."""

ALL: Final = (OUTCOME, KIND, TEMPLATE, PHONE_LAST4, ERROR_TYPE, PROGRESS, ROWS_LAST4)
