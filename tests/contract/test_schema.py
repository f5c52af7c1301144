"""The JSON Schema in docs/schema: current, valid, and consistent with the contract."""

from typing import Any

import jsonschema
import pytest

from send_whatsapp.contract.result import SendError, SendWhatsAppResult
from send_whatsapp.contract.schema import FOLDER, request_schema, result_schema, schemas
from send_whatsapp.gateway.openapi.examples import REQUESTS
from tests.contract.conftest import SOUND, WRONG

REQUEST = jsonschema.Draft202012Validator(request_schema())
RESULT = jsonschema.Draft202012Validator(result_schema())

# A JSON Schema cannot express which months and zones exist, nor that one time is after another.
BEYOND = ("2027-13-31", "2027-01-31T09:00:00Z")
WINDOWS_BEYOND = (
    {"from": "09:00", "to": "09:00"},
    {"from": "09:00", "to": "20:00", "zone": "Mars/Phobos"},
)


def can_be_expressed(fields: dict[str, Any]) -> bool:
    times = str(fields.get("expiresAt", ""))
    return not times.startswith(BEYOND) and fields.get("sendWindow") not in WINDOWS_BEYOND


def test_the_files_are_current() -> None:
    found = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert found == schemas(), "run `make generate`"


@pytest.mark.parametrize("schema", [request_schema(), result_schema()])
def test_a_schema_is_valid(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("fields", [*SOUND, *REQUESTS.values()])
def test_the_schema_accepts_what_the_contract_accepts(fields: dict[str, Any]) -> None:
    REQUEST.validate({"to": "+1234567890"} | fields)


@pytest.mark.parametrize(
    "fields", [fields for fields, _ in WRONG if can_be_expressed(fields)], ids=str
)
def test_the_schema_refuses_what_the_contract_refuses(fields: dict[str, Any]) -> None:
    assert not REQUEST.is_valid({"to": "+1234567890"} | fields)


def test_a_request_without_a_recipient_is_refused() -> None:
    assert not REQUEST.is_valid({"message": "x"})
    assert not REQUEST.is_valid([])


@pytest.mark.parametrize(
    "result",
    [
        SendWhatsAppResult(contact_id="1", to="+1234567890", sent_as="text"),
        SendWhatsAppResult(
            success=False, error=SendError(type="Expired", message="x", retryable=False)
        ),
    ],
)
def test_a_result_is_valid(result: SendWhatsAppResult) -> None:
    value = result.model_dump(mode="json", by_alias=True)
    RESULT.validate(value)
    RESULT.validate(value | {"later": "a field that is not known yet"})
    for name in value.keys() - {"error"}:
        assert not RESULT.is_valid({n: v for n, v in value.items() if n != name})
