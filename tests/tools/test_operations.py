"""The runbook: its queries work, the Temporal CLI has its commands, and no alert is missing.

tests/docs checks its links, and the commands of our own command line.
"""

import re
import subprocess

import pytest
from temporalio.client import Client

from tests.conftest import ROOT
from tools.dev_server import DevServer
from tools.temporal_cli import install

RUNBOOK = (ROOT / "docs" / "operations.md").read_text()
QUERIES = re.findall(r"```query\n(.*?)\n```", RUNBOOK, re.DOTALL)
TEMPORAL = re.findall(r"\btemporal ((?:workflow|activity|operator|task-queue)[a-z -]*?) -", RUNBOOK)
ALERTS = (
    *("OutcomeUnknown", "Unauthorized", "FailureRatio", "ScheduleToStart"),
    *("WorkflowTaskFailures", "NoPollers", "ProviderSlow", "WorkerDown"),
)


@pytest.mark.parametrize("query", QUERIES)
async def test_the_server_answers_a_query(server: DevServer, client: Client, query: str) -> None:
    words = [str(install()), "workflow", "count", "--address", server.address, "--query", query]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Total" in done.stdout


@pytest.mark.parametrize("command", sorted(set(TEMPORAL)))
def test_the_temporal_cli_has_a_command(command: str) -> None:
    done = subprocess.run(
        [str(install()), *command.split(), "--help"], capture_output=True, text=True, timeout=60
    )
    assert f"temporal {command}" in done.stdout, done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_a_section(alert: str) -> None:
    assert f"\n### SendWhatsApp{alert}\n" in RUNBOOK
