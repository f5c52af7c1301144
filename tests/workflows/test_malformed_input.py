"""Malformed workflow input: the run closes as Failed at once, and no provider call is made."""

import json
import uuid

import pytest
from temporalio.api.common.v1 import Memo, Payload, Payloads, WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest

from send_whatsapp.client import sends
from send_whatsapp.client.state import get_state
from send_whatsapp.contract.names import START_BEFORE_MEMO
from simulator.process import Simulator
from tests.conftest import SendHarness, send_error

SOUND = b'{"to": "+1234567890", "message": "canary"}'


def payload(data: bytes, encoding: bytes = b"json/plain", **more: bytes) -> Payload:
    return Payload(metadata={"encoding": encoding, **more}, data=data)


def field(name: str, value: str) -> Payload:
    return payload(
        b'{"to": "+1234567890", "message": "canary", "%s": %s}' % (name.encode(), value.encode())
    )


CASES: dict[str, list[Payload]] = {
    "no argument": [],
    "two arguments": [payload(SOUND), payload(b"{}")],
    "a request and null": [payload(SOUND), payload(b"null")],
    "a request and binary/null": [payload(SOUND), payload(b"", b"binary/null")],
    "null": [payload(b"null")],
    "binary/null": [payload(b"", b"binary/null")],
    "bytes": [payload(b"\x00\xff", b"binary/plain")],
    "a text": [payload(b'"canary"')],
    "a list": [payload(b"[1]")],
    "not JSON": [payload(b"canary")],
    "a second argument that is not JSON": [payload(SOUND), payload(b"canary")],
    "nothing": [payload(b"")],
    "an unknown encoding": [payload(SOUND, b"binary/canary")],
    "no encoding": [Payload(data=SOUND)],
    "protobuf JSON": [
        payload(SOUND, b"json/protobuf", messageType=b"temporal.api.common.v1.Payload")
    ],
    "protobuf JSON without a type": [payload(SOUND, b"json/protobuf")],
    "binary protobuf": [payload(SOUND, b"binary/protobuf", messageType=b"no.such.Type")],
    "wrong types": [payload(b'{"to": 5, "message": ["canary"]}')],
    "missing fields": [payload(b"{}")],
    "no content": [payload(b'{"to": "+1234567890"}')],
    "an unknown field": [field("canary", "1")],
    "two contents": [field("fileUrl", '"https://example.com/canary", "fileType": "image"')],
    "a snake_case name": [field("file_url", '"https://example.com/canary"')],
    "NaN": [payload(b'{"to": "+1", "template": "t", "variables": {"a": NaN}}')],
    "5,000 digits": [
        payload(b'{"to": "+1", "template": "t", "variables": {"a": %s}}' % (b"9" * 5000))
    ],
    "100,000 brackets": [payload(b"[" * 100_000)],
    "a lone surrogate": [payload(b'{"to": "+1234567890", "message": "canary \\ud800"}')],
    "a text of 1 MB": [payload(b'{"to": "+1234567890", "message": "%s"}' % (b"canary" * 170_000))],
    "UTF-16": [payload(SOUND.decode().encode("utf-16"))],
}


async def start(
    harness: SendHarness, payloads: list[Payload], memo: dict[str, Payload] | None = None
) -> str:
    """Start a run with these payloads; return its workflow id."""
    workflow_id = f"malformed-{uuid.uuid4()}"
    await harness.client.workflow_service.start_workflow_execution(
        StartWorkflowExecutionRequest(
            namespace="default",
            workflow_id=workflow_id,
            request_id=str(uuid.uuid4()),
            workflow_type=WorkflowType(name="SendWhatsApp"),
            task_queue=TaskQueue(name=harness.task_queue),
            input=Payloads(payloads=payloads),
            memo=Memo(fields=memo or {}),
        )
    )
    return workflow_id


@pytest.mark.parametrize("name", CASES)
async def test_the_run_fails_as_invalid_request(
    harness: SendHarness, provider: Simulator, name: str
) -> None:
    workflow_id = await start(harness, CASES[name])
    state = await get_state(harness.client, workflow_id, wait=True)
    assert (state.status, state.outcome) == ("Failed", "failed")
    error = send_error(state)
    assert error.type == "InvalidRequest"
    assert "canary" not in error.message.replace("canary is not a known field", "")
    assert not await provider.requests()
    history = await harness.client.get_workflow_handle(workflow_id).fetch_history()
    failed = history.events[-1].workflow_execution_failed_event_attributes.failure
    details = json.loads(failed.application_failure_info.details.payloads[0].data)
    assert all(set(problem) == {"field", "problem", "expected"} for problem in details)
    assert await sends.get_request(harness.client, state.id) is None


@pytest.mark.parametrize(
    "memo",
    [
        payload(b'"2027-01-31T09:00:00"'),
        payload(b'"soon"'),
        payload(b"7"),
        payload(b"{}"),
    ],
    ids=["without a zone", "no time", "a number", "an object"],
)
async def test_a_start_deadline_that_is_not_a_time_fails_as_invalid_request(
    harness: SendHarness, provider: Simulator, memo: Payload
) -> None:
    workflow_id = await start(harness, [payload(SOUND)], {START_BEFORE_MEMO: memo})
    error = send_error(await get_state(harness.client, workflow_id, wait=True))
    assert error.type == "InvalidRequest"
    assert "startBefore" in error.message
    assert not await provider.requests()
