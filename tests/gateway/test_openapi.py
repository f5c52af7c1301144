"""The OpenAPI document agrees with the contract."""

import json
import re
from typing import Any

import httpx
import jsonschema
import pytest
from pydantic import ValidationError

from send_whatsapp.contract.batch_body import BatchBody, batch_body_schema
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.gateway.openapi import BATCHES


async def test_the_openapi_document_contains_the_contract(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    body = document["paths"]["/v1/messages"]["post"]["requestBody"]["content"]["application/json"]
    assert "fileUrl" in body["schema"]["properties"]
    for example in body["examples"].values():
        SendWhatsAppRequest.model_validate_json(json.dumps(example["value"]))
    for operation in ("post", "get", "delete"):
        path = "/v1/messages" if operation == "post" else "/v1/messages/{id}"
        described = document["paths"][path][operation]
        assert described["security"] == [{"HTTPBearer": []}]
        assert {"200", "401", "503"} <= set(described["responses"])
    for text in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        found: Any = document
        for part in text.split("/"):
            found = found[part]


@pytest.mark.parametrize("body", BATCHES.values())
def test_the_example_of_a_batch_is_valid(body: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(batch_body_schema()).validate(body)
    BatchBody.model_validate_json(json.dumps(body))


@pytest.mark.parametrize(
    "fields",
    [
        {"key": ""},
        {"key": " a"},
        {"key": "\u00e9"},
        {"key": "x" * 101},
        {"rows": []},
        {"rows": [{}]},
        {"rows": [{"to": "+1234567890", "colour": "red"}]},
        {"colour": "red"},
        {"perMinute": 0},
        {"pauseAfter": 0},
        {"delivery": "twice"},
    ],
    ids=str,
)
def test_the_type_and_the_schema_of_a_batch_refuse_the_same_bodies(fields: dict[str, Any]) -> None:
    body = BATCHES["one template"] | fields
    assert not jsonschema.Draft202012Validator(batch_body_schema()).is_valid(body)
    with pytest.raises(ValidationError):
        BatchBody.model_validate_json(json.dumps(body))
