"""The search attributes of a run: one registry for worker, workflows and starters."""

from typing import Final

from temporalio.common import SearchAttributeKey

OUTCOME: Final = SearchAttributeKey.for_keyword("WhatsAppOutcome")
"""`running`, then `accepted`, `failed`, `unknown` or `cancelled`."""

KIND: Final = SearchAttributeKey.for_keyword("WhatsAppKind")
"""What was sent (before that: asked for): `text`, `template` or `media`."""

TEMPLATE: Final = SearchAttributeKey.for_keyword("WhatsAppTemplate")
"""The template's name as it was asked for."""

PHONE_LAST4: Final = SearchAttributeKey.for_keyword("WhatsAppPhoneLast4")
"""Last four digits of the recipient's number."""

ERROR_TYPE: Final = SearchAttributeKey.for_keyword("WhatsAppErrorType")
"""Type of the failure, from contract/errors.py."""

PROGRESS: Final = SearchAttributeKey.for_keyword("WhatsAppProgress")
"""How far a batch is, in words."""

ALL: Final = (OUTCOME, KIND, TEMPLATE, PHONE_LAST4, ERROR_TYPE, PROGRESS)
