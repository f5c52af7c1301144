"""What a response about a contact or a tag means."""

import json
from typing import Any

import pytest

from send_whatsapp.cgb import contact_responses
from send_whatsapp.cgb.contact_responses import Contact, Tag
from send_whatsapp.cgb.errors import CGBError
from send_whatsapp.cgb.responses import Response


def response(body: Any, status: int = 200) -> Response:
    return Response("call", status, {}, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("fields", "contact"),
    [
        ({"subscribed": 1, "tags": []}, Contact("7", False, ())),
        ({"subscribed": 2, "tags": []}, Contact("7", True, ())),
        ({"subscribed": "2"}, Contact("7", True, None)),
        ({"subscribed": 3}, Contact("7", None, None)),
        ({"subscribed": True}, Contact("7", None, None)),
        ({"subscribed": None, "tags": None}, Contact("7", None, None)),
        ({"tags": [{"id": 9, "name": "vip"}]}, Contact("7", None, (Tag("9", "vip"),))),
        ({"tags": ["vip"]}, Contact("7", None, (Tag(None, "vip"),))),
        ({"tags": [{"name": "vip"}]}, Contact("7", None, (Tag(None, "vip"),))),
        ({"tags": [{"id": 9}]}, Contact("7", None, None)),
        ({"tags": "vip"}, Contact("7", None, None)),
    ],
    ids=str,
)
def test_a_contact_shows_its_subscription_and_its_tags(
    fields: dict[str, Any], contact: Contact
) -> None:
    body = {"id": 7} | fields
    assert contact_responses.contact(response(body)) == contact
    assert contact_responses.contact(response({"data": body})) == contact
    assert contact_responses.found_contact(response({"data": [body]})) == contact
    assert contact_responses.found_contact(response({"contact": body, "found": True})) == contact
    assert contact_responses.created_contact(response({"success": True, "data": body})) == contact
    assert contact_responses.created_contact(response(body)) == contact
    assert contact.shows_state == (contact.unsubscribed is not None or contact.tags is not None)


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 200), ({"id": ""}, 200), ({"id": None}, 200), ({"id": 0}, 200), ({}, 404)],
)
def test_an_unknown_contact_is_none(body: Any, status: int) -> None:
    assert contact_responses.contact(response(body, status)) is None


@pytest.mark.parametrize("body", [[{"id": 9, "name": "vip"}], {"data": [{"id": 9, "name": "vip"}]}])
def test_a_list_of_tags_is_read(body: Any) -> None:
    assert contact_responses.tags(response(body)) == [Tag("9", "vip")]


@pytest.mark.parametrize("body", [{"id": 1995}, {"success": True, "data": {"id": 1995}}])
def test_the_id_of_a_new_tag_is_read(body: Any) -> None:
    assert contact_responses.created_tag(response(body)) == "1995"


@pytest.mark.parametrize(
    ("meaning", "body", "status"),
    [
        (contact_responses.contact, "x", 200),
        (contact_responses.contact, {"id": [7]}, 200),
        (contact_responses.contact, {"id": 7}, 503),
        (contact_responses.contact, {"success": False, "id": 7}, 200),
        (contact_responses.tags, {}, 200),
        (contact_responses.tags, "x", 200),
        (contact_responses.tags, [{"id": 9}], 200),
        (contact_responses.created_tag, {}, 200),
        (contact_responses.created_tag, {"id": -1}, 200),
        (contact_responses.changed, {"success": False}, 200),
        (contact_responses.changed, {}, 404),
        (contact_responses.changed, [], 200),
    ],
)
def test_other_responses_are_errors(meaning: Any, body: Any, status: int) -> None:
    with pytest.raises(CGBError):
        meaning(response(body, status))
