"""The runbook: its queries are answered, its commands exist, the alerts find their sections."""

import re
import subprocess
from pathlib import Path

import pytest
from temporalio.client import Client

from send_whatsapp.cli.main import app
from send_whatsapp.contract.errors import ErrorType
from tests.conftest import ROOT
from tools.dev_server import DevServer
from tools.temporal_cli import install

RUNBOOK = (ROOT / "docs" / "operations.md").read_text()
QUERIES = re.findall(r"```query\n(.*?)\n```", RUNBOOK, re.DOTALL)
TEMPORAL = re.findall(r"\btemporal ((?:workflow|activity|operator|task-queue)[a-z -]*?) -", RUNBOOK)
OURS = re.findall(r"send-whatsapp ([a-z]+)((?: --[a-z0-9-]+(?: [\w-]+)?)*)", RUNBOOK)
ALERTS = (
    *("OutcomeUnknown", "Unauthorized", "FailureRatio", "ScheduleToStart"),
    *("WorkflowTaskFailures", "NoPollers", "ProviderSlow", "WorkerDown"),
)


@pytest.mark.parametrize("query", QUERIES)
async def test_the_server_answers_a_saved_query(
    server: DevServer, client: Client, query: str
) -> None:
    words = [str(install()), "workflow", "count", "--address", server.address, "--query", query]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Total" in done.stdout


@pytest.mark.parametrize("command", sorted(set(TEMPORAL)))
def test_the_temporal_cli_knows_a_command(command: str) -> None:
    done = subprocess.run(
        [str(install()), *command.split(), "--help"], capture_output=True, text=True, timeout=60
    )
    assert f"temporal {command}" in done.stdout, done.stderr


def test_our_command_line_knows_each_command_and_option() -> None:
    from typer.main import get_command

    known = get_command(app)
    assert OURS
    for name, options in OURS:
        command = getattr(known, "commands")[name]  # noqa: B009
        taken = {word for parameter in command.params for word in parameter.opts}
        assert set(re.findall(r"--[a-z0-9-]+", options)) <= taken, name


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_its_section(alert: str) -> None:
    assert f"\n### SendWhatsApp{alert}\n" in RUNBOOK


@pytest.mark.parametrize("type_", ErrorType)
def test_an_error_type_has_its_row(type_: ErrorType) -> None:
    assert re.search(rf"^\| [^|]*`{type_}`", RUNBOOK, re.MULTILINE)


def test_every_link_leads_somewhere() -> None:
    heads = re.findall(r"^#+ (.*)$", RUNBOOK, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", head).strip().lower().replace(" ", "-") for head in heads}
    for target in re.findall(r"\]\(([^)]+)\)", RUNBOOK):
        path, _, anchor = target.partition("#")
        assert (ROOT / "docs" / Path(path)).exists() if path else anchor in anchors, target
