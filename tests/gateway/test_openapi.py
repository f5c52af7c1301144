"""The OpenAPI document: valid, complete, and in agreement with the contract."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import ValidationError
from starlette.datastructures import Headers
from temporalio.client import Client

from send_whatsapp.contract.batch_body import BatchBody
from send_whatsapp.contract.names import InvalidKey, workflow_id
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.gateway.headers import idempotency_key
from send_whatsapp.gateway.openapi.document import openapi_document
from send_whatsapp.gateway.openapi.examples import BATCHES, REQUESTS
from send_whatsapp.gateway.problems import Problem
from send_whatsapp.gateway.tokens import Tokens
from send_whatsapp.gateway.webhooks import load_webhooks
from tests.contract.conftest import SOUND, WRONG
from tests.contract.test_schema import can_be_expressed
from tests.gateway.conftest import PROBLEM, WEBHOOK_SECRETS, WEBHOOKS_FILE, gateway
from tests.gateway.documented import app_without_a_server, body_schema, document, validator

MESSAGE = body_schema("/v1/messages")
BATCH = body_schema("/v1/batches")
MESSAGES = ("TextMessage", "TemplateMessage", "FileMessage")


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, by_method in document()["paths"].items():
        for method, operation in by_method.items():
            yield path, method, operation


async def test_the_served_document_is_valid(http: httpx.AsyncClient) -> None:
    served = (await http.get("/openapi.json")).json()
    OpenAPIV31SpecValidator(served).validate()
    assert served == document()


def test_every_answer_has_a_named_schema_and_every_other_error_is_a_problem() -> None:
    for path, method, operation in operations():
        for status, answer in operation["responses"].items():
            if status == "204":
                continue
            ((media_type, content),) = answer["content"].items()
            is_problem = status == "default" or int(status) >= 400
            assert media_type == (PROBLEM if is_problem else "application/json"), (path, method)
            assert content["schema"].keys() == {"$ref"}
        assert "default" in operation["responses"]


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names) == len(list(operations()))


def test_every_example_fits_its_schema() -> None:
    for _, _, operation in operations():
        for answer in [operation.get("requestBody", {}), *operation["responses"].values()]:
            for content in answer.get("content", {}).values():
                shown = [example["value"] for example in content.get("examples", {}).values()]
                for value in [*shown, *([content["example"]] if "example" in content else [])]:
                    validator(content["schema"]).validate(value)


CONTENT = {"message", "template", "variables", "fileUrl", "fileType"}


def test_a_message_is_one_of_three_complete_bodies() -> None:
    common = {field.alias for field in SendWhatsAppRequest.model_fields.values()} - CONTENT
    assert [part["$ref"].rpartition("/")[2] for part in MESSAGE["oneOf"]] == list(MESSAGES)
    for name in MESSAGES:
        schema = document()["components"]["schemas"][name]
        assert common <= schema["properties"].keys()
        assert "to" in schema["required"]
        assert schema["properties"]["to"]["minLength"] >= 1


def without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    """Return what a client of the document sends: other kinds of content are left out."""
    return {n: v for n, v in fields.items() if v is not None and not (n == "variables" and v == {})}


@pytest.mark.parametrize("fields", [*SOUND, *REQUESTS.values()])
def test_the_schema_of_a_message_accepts_what_the_contract_accepts(fields: dict[str, Any]) -> None:
    validator(MESSAGE).validate({"to": "+1234567890"} | without_nulls(fields))


@pytest.mark.parametrize("fields", [f for f, _ in WRONG if can_be_expressed(f)], ids=str)
def test_the_schema_of_a_message_refuses_what_the_contract_refuses(fields: dict[str, Any]) -> None:
    assert not validator(MESSAGE).is_valid({"to": "+1234567890"} | fields)


@pytest.mark.parametrize("to", ["", " ", "call me", "+49 151/2345", "１２３４５６７８９０"])
def test_the_schema_of_a_message_refuses_what_cannot_be_a_number(to: str) -> None:
    assert not validator(MESSAGE).is_valid({"to": to, "message": "x"})


@pytest.mark.parametrize("to", ["+1234567890", "(123) 456-7890", "\u00a0+49 (0)151 23456789\t"])
def test_the_schema_of_a_message_accepts_every_notation(to: str) -> None:
    validator(MESSAGE).validate({"to": to, "message": "x"})


@pytest.mark.parametrize("body", BATCHES.values())
def test_the_example_of_a_batch_is_valid(body: dict[str, Any]) -> None:
    validator(BATCH).validate(body)
    BatchBody.model_validate_json(json.dumps(body))


@pytest.mark.parametrize(
    "fields",
    [
        {"key": ""},
        {"key": " a"},
        {"key": "\u00e9"},
        {"key": "x" * 101},
        {"key": "line 2"},
        {"rows": []},
        {"rows": [{}]},
        {"rows": [{"to": "+1234567890", "colour": "red"}]},
        {"rows": [{"to": "+1234567890", "key": ""}]},
        {"rows": [{"to": "+1234567890", "key": " "}]},
        {"rows": [{"to": "+1234567890", "key": " line 2"}]},
        {"rows": [{"to": "+1234567890", "key": "x" * 201}]},
        {"colour": "red"},
        {"perMinute": 0},
        {"perMinute": 1_000_001},
        {"perMinute": 1.5},
        {"pauseAfter": 0},
        {"pauseAfter": 250_001},
        {"delivery": "twice"},
        {"expiresAt": "9999-12-31T23:59:59Z"},
    ],
    ids=str,
)
def test_the_type_and_the_schema_of_a_batch_refuse_the_same_bodies(fields: dict[str, Any]) -> None:
    body = BATCHES["one template"] | fields
    assert not validator(BATCH).is_valid(body)
    with pytest.raises(ValidationError):
        BatchBody.model_validate_json(json.dumps(body))


@pytest.mark.parametrize(
    ("header", "is_valid"),
    [
        *((text, True) for text in ("a", '"a"', "order 4711", '"order 4711"', '"a\\"b\\\\"')),
        *((text, True) for text in ("x" * 200, f'"{"x" * 200}"', "a\\b", 'a"b', "'")),
        *((text, False) for text in ("", '""', '"', '"a', '"a"b', "x" * 201, f'"{"x" * 201}"')),
        *((text, False) for text in ('"a\\b"', "\x7f", '" a"', '"a "', "é", "batch-1")),
        *((text, False) for text in ('"batch-1"', "webhook:a", '"webhook:a:1"')),
    ],
)
def test_the_schema_of_an_idempotency_key_is_the_rule(header: str, is_valid: bool) -> None:
    parameters = document()["paths"]["/v1/messages"]["post"]["parameters"]
    (parameter,) = (one for one in parameters if one["name"] == "Idempotency-Key")
    assert validator(parameter["schema"]).is_valid(header) == is_valid
    try:
        found = idempotency_key(Headers(raw=[(b"idempotency-key", header.encode("latin-1"))]))
        workflow_id(found or "")
        accepted = True
    except (Problem, InvalidKey):
        accepted = False
    assert accepted == is_valid


async def test_with_tokens_the_document_says_that_a_token_is_needed(client: Client) -> None:
    async with gateway(client, "nobody", Tokens({"crm": "a-long-random-token"}, None)) as http:
        served = (await http.get("/openapi.json")).json()
        for path, by_method in served["paths"].items():
            for operation in by_method.values():
                needs_token = operation.get("security") == [{"bearer": []}]
                assert needs_token == path.startswith("/v1/")
        assert served["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_without_tokens_the_document_asks_for_none() -> None:
    assert "securitySchemes" not in document()["components"]
    for _, _, operation in operations():
        assert not operation.get("security")


@pytest.mark.parametrize(("needs_token", "other"), [(True, {"bearer": []}), (False, {})])
def test_a_signed_webhook_is_documented_with_its_header(
    needs_token: bool, other: dict[str, Any]
) -> None:
    webhooks = load_webhooks(WEBHOOKS_FILE, WEBHOOK_SECRETS)
    described = openapi_document(app_without_a_server(), webhooks, needs_token=needs_token)
    OpenAPIV31SpecValidator(described).validate()
    security = described["paths"]["/v1/webhooks/{name}"]["post"]["security"]
    assert security == [{"webhook-shop": []}, {"webhook-visa": []}, other]
    scheme = described["components"]["securitySchemes"]["webhook-shop"]
    assert (scheme["in"], scheme["name"]) == ("header", "X-Hub-Signature-256")
