"""Replay: what ran once is understood by today's workflow code, step for step.

In the sandbox, which the worker goes without (ADR 0005): what a workflow must not call fails here.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, WorkflowReplayResult
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from activities.callbacks import GONE
from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.contract.errors import ErrorType
from tests.replay.capture import CASES, HISTORIES
from tests.replay.capture_callbacks import MESSAGES
from worker import WORKFLOWS
from workflows.send_callback import SendWhatsAppCallback
from workflows.turn_keeper import TurnKeeper

FILES = sorted(HISTORIES.glob("*.json"))


async def replay(content: dict[str, Any]) -> WorkflowReplayResult:
    replayer = Replayer(
        workflows=[*WORKFLOWS, TurnKeeper, SendWhatsAppCallback],
        plugins=[contract_plugin()],
        workflow_runner=SandboxedWorkflowRunner(),
    )
    history = WorkflowHistory.from_json("replayed", json.dumps(content))
    return await replayer.replay_workflow(history, raise_on_replay_failure=False)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_a_captured_history_replays(path: Path) -> None:
    content = json.loads(path.read_text())
    assert (await replay(content)).replay_failure is None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_captured_history_is_complete_and_contains_the_flags_of_the_sdk(path: Path) -> None:
    text = path.read_text()
    events = json.loads(text)["events"]
    # Without the flags that the SDK ran with, a replay takes a wrong activity type for right.
    flags = [
        event["workflowTaskCompletedEventAttributes"].get("sdkMetadata", {}).get("coreUsedFlags")
        for event in events
        if "workflowTaskCompletedEventAttributes" in event
    ]
    assert any(flags)
    assert re.search(
        "EXECUTION_(COMPLETED|FAILED|CANCELED|CONTINUED_AS_NEW)$", events[-1]["eventType"]
    )
    assert not re.search(r"\d@\w|File \\\"", text)


def test_every_path_and_every_error_type_has_a_history() -> None:
    stems = {path.stem for path in FILES}
    assert set(CASES) <= stems
    assert {f"callback-{name}" for name in (*MESSAGES, "batch", "delivered")} <= stems
    assert {f"cancelled-{how}" for how in ("too-late", "between-attempts")} <= stems
    ends = [json.loads(path.read_text())["events"][-1] for path in FILES]
    failures = [e["workflowExecutionFailedEventAttributes"] for e in ends if _failed(e)]
    types = {f["failure"]["applicationFailureInfo"]["type"] for f in failures}
    assert types == {*ErrorType, GONE}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("text", {"activityType": {"name": "send_file"}}),
        ("text", {"activityId": "another"}),
        ("template", {"activityType": {"name": "send_text"}}),
        ("callback-delivered", {"activityType": {"name": "send_text"}}),
    ],
)
async def test_the_replay_of_a_history_with_other_steps_fails(
    name: str, change: dict[str, Any]
) -> None:
    content = json.loads((HISTORIES / f"{name}.json").read_text())
    scheduled = "activityTaskScheduledEventAttributes"
    [e[scheduled] for e in content["events"] if scheduled in e][-1].update(change)
    assert isinstance((await replay(content)).replay_failure, NondeterminismError)


async def test_the_id_of_a_callback_is_part_of_the_replay() -> None:
    content = json.loads((HISTORIES / "callback-accepted.json").read_text())
    started = "startChildWorkflowExecutionInitiatedEventAttributes"
    [initiated] = [event[started] for event in content["events"] if started in event]
    initiated["workflowId"] += "-another"
    assert isinstance((await replay(content)).replay_failure, NondeterminismError)


async def test_a_run_that_started_without_search_attributes_continues_without_them() -> None:
    content = json.loads((HISTORIES / "without-search-attributes.json").read_text())
    assert not [e for e in content["events"] if "SEARCH_ATTRIBUTES" in e["eventType"]]
    assert (await replay(content)).replay_failure is None


def test_no_failure_in_a_history_contains_private_data() -> None:
    for path in FILES:
        for failure in _failures(json.loads(path.read_text())):
            # Details are payloads, base64 in JSON.
            words = failure + "".join(
                base64.b64decode(data).decode(errors="replace")
                for data in re.findall(r'"data": "([^"]+)"', failure)
            )
            assert "1415555" not in words
            assert "Hello" not in words


def _failed(event: dict[str, Any]) -> bool:
    return "workflowExecutionFailedEventAttributes" in event


def _failures(content: Any) -> list[str]:
    """Return every failure in a history, as JSON."""
    if isinstance(content, list):
        return [found for part in content for found in _failures(part)]
    if isinstance(content, dict):
        own = [json.dumps(content["failure"])] if "failure" in content else []
        return own + [found for part in content.values() for found in _failures(part)]
    return []
