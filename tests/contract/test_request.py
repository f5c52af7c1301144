"""The request: what is accepted and what is refused, by field."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.validation import problems
from tests.contract.conftest import SOUND, WRONG


def read(**fields: Any) -> SendWhatsAppRequest:
    return SendWhatsAppRequest.model_validate_json(json.dumps({"to": "+1234567890", **fields}))


@pytest.mark.parametrize("fields", SOUND)
def test_a_valid_request_is_accepted(fields: dict[str, Any]) -> None:
    assert read(**fields).to == "+1234567890"


@pytest.mark.parametrize(("fields", "field"), WRONG)
def test_an_invalid_request_names_the_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read(**fields)
    found = problems(refused.value)
    assert [problem.field for problem in found] == [field]
    assert found[0].problem
    assert found[0].expected


@pytest.mark.parametrize(
    ("fields", "problem", "expected"),
    [
        ({"message": "x" * 5000}, "is too long", "at most 4096 characters, got 5000"),
        ({"message": ""}, "is empty", "1 to 4096 characters"),
        ({"template": "x" * 300}, "is too long", "at most 200 characters, got 300"),
        (
            {"template": "t", "variables": {"fallback_message": "x" * 5000}},
            "is too long",
            "at most 4096 characters, got 5000",
        ),
        (
            {"fileUrl": "https://example.com/" + "x" * 3000, "fileType": "image"},
            "is longer than 2048 characters",
            "an http(s) URL of a public host",
        ),
        (
            {"fileUrl": "https://example.com/a", "fileType": "gif"},
            "has an unknown value",
            "'image', 'document', 'video' or 'audio'",
        ),
        (
            {"message": "x", "sendAt": "9999-12-31T23:59:59Z"},
            "is not a possible time",
            "a time from 2000 to 2199; leave the field out for no time",
        ),
        (
            {"message": "x", "sendAt": "2027-02-30T09:00:00Z"},
            "is not a time (day value is outside expected range)",
            "ISO 8601 with a time zone, for example 2027-01-31T09:00:00Z",
        ),
    ],
)
def test_a_problem_names_the_limit(fields: dict[str, Any], problem: str, expected: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read(**fields)
    (found,) = problems(refused.value)
    assert (found.problem, found.expected) == (problem, expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"text"',
        "not JSON",
        "[" * 100_000,
        '{"to": "1", "message": "\\ud800"}',
        '{"to": "1", "template": "t", "variables": {"a": NaN}}',
        '{"to": "1", "template": "t", "variables": {"a": ' + "9" * 400 + "}}",
        '{"to": "1", "template": "t", "variables": {"a": ' + "9" * 5000 + "}}",
    ],
)
def test_input_that_is_not_a_request_raises_the_same_error(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        SendWhatsAppRequest.model_validate_json(text)
    assert problems(refused.value)


def test_the_errors_never_repeat_a_value() -> None:
    with pytest.raises(ValidationError) as refused:
        read(to=5, template="canary\n", variables={"a": ["canary"]}, fileUrl="canary")
    assert "canary" not in str(problems(refused.value))


def test_the_fallback_of_the_variables_wins_over_the_message() -> None:
    both = read(template="t", message="m", variables={"fallback_message": "v"})
    assert both.fallback_text == "v"
    assert both.template_variables == {}
    assert read(template="t", message="m").fallback_text == "m"
    assert read(template="t").fallback_text is None
    assert read(message="m").fallback_text is None


def test_variables_are_sent_as_text_without_line_breaks_and_runs_of_spaces() -> None:
    values = {"a": " x \n y\t z  ", "b": True, "c": False, "d": 3, "e": 1.5}
    expected = {"a": "x y z", "b": "true", "c": "false", "d": "3", "e": "1.5"}
    assert read(template="t", variables=values).template_variables == expected


def test_two_requests_are_the_same_when_only_their_times_differ() -> None:
    plain = read(message="m")
    assert plain.body() == read(message="m", expiresAt="2027-01-31T09:00:00Z").body()
    assert plain.body() == read(message="m", delivery="at_least_once").body()
    assert plain.body() != read(message="m", delivery="at_most_once").body()
    assert plain.body() == read(message="m", inOrder=False).body()
    assert plain.body() == read(message="m", inOrder=None).body()
    assert plain.body() != read(message="m", inOrder=True).body()
    assert plain.body() == read(message="m", ignoreOptOut=False).body()
    assert plain.body() != read(message="m", ignoreOptOut=True).body()


def test_new_fields_that_are_not_used_do_not_change_the_digest_of_a_running_batch() -> None:
    assert json.loads(read(message="m").body()).keys() == {
        *("to", "message", "template", "variables", "fileUrl", "fileType", "delivery")
    }


def test_two_requests_differ_if_their_texts_differ() -> None:
    bodies = {read(template="t", variables={"n": n}).body() for n in (1, 1.0, True, "1")}
    assert len(bodies) == 4


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [*(f.alias or "" for f in SendWhatsAppRequest.model_fields.values()), "unknown"]
        ),
        json_values,
        max_size=6,
    )
)
def test_any_object_is_read_or_refused_with_problems(fields: dict[str, Any]) -> None:
    try:
        request = SendWhatsAppRequest.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        refused = problems(error)
        assert refused
    else:
        again = SendWhatsAppRequest.model_validate_json(request.model_dump_json(by_alias=True))
        assert again == request


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"to": "+1234567890\udcff", "message": "x"}, "to"),
        ({"message": "x\ud800"}, "message"),
        ({"template": "t\ud800"}, "template"),
        ({"template": "t", "variables": {"a": "\ud800"}}, "variables.a"),
        ({"fileUrl": "https://example.com/\ud800", "fileType": "image"}, "fileUrl"),
    ],
)
def test_half_a_surrogate_pair_is_refused_from_python_and_from_json(
    fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as wrong:
        SendWhatsAppRequest.model_validate({"to": "+1234567890"} | fields)
    assert [problem.field for problem in problems(wrong.value)] == [field]


@pytest.mark.parametrize(
    ("fields", "takes_turn"),
    [
        ({"message": "m"}, False),
        ({"template": "t"}, False),
        ({"template": "t", "variables": {"fallback_message": "m"}}, False),
        ({"fileUrl": "https://example.com/a.pdf", "fileType": "document"}, False),
        ({"template": "t", "variables": {"name": "x"}}, True),
        ({"message": "m", "inOrder": True}, True),
        ({"template": "t", "inOrder": True}, True),
        ({"fileUrl": "https://example.com/a.pdf", "fileType": "document", "inOrder": True}, True),
    ],
)
def test_templates_with_variables_and_messages_in_order_take_turns(
    fields: dict[str, Any], takes_turn: bool
) -> None:
    assert read(**fields).takes_turn == takes_turn
