"""Alerts and dashboard, checked by promtool and by a Prometheus that scrapes real sends."""

import asyncio
import json
import re
import subprocess
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from send_whatsapp.contract.errors import ErrorType
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import ROOT, require_program, until
from tests.telemetry.conftest import WorkerProcess
from tools.dev_server import free_port

FOLDER = ROOT / "observability"
GROUPS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
DASHBOARD = json.loads((FOLDER / "grafana/dashboards/send-whatsapp.json").read_text())
SELECTOR = re.compile(r"\b(?:send_whatsapp[\w:]+|temporal_\w+|up)\b(?:\{[^}]*\})?")

for program in ("promtool", "prometheus"):
    require_program(program)


def queries() -> list[tuple[str, str]]:
    """Return each query of the dashboard, by its panel's title."""
    return [
        (panel["title"], re.sub(r"\$__\w+", "5m", target["expr"]))
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    ]


def selectors() -> set[str]:
    """Return the selectors in rules and dashboard: each metric with its labels."""
    expressions = [rule["expr"] for rule in RULES] + [query for _, query in queries()]
    return {found for query in expressions for found in SELECTOR.findall(query)}


class Prometheus:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, trust_env=False)

    async def get(self, path: str, **params: str) -> Any:
        body = (await self._http.get(f"/api/v1/{path}", params=params)).json()
        assert body["status"] == "success", body
        return body["data"]

    async def has(self, query: str) -> bool:
        """Return whether a query gives a number."""
        result = (await self.get("query", query=query))["result"]
        return any(series["value"][1] != "NaN" for series in result)

    async def firing(self) -> set[str]:
        alerts = (await self.get("alerts"))["alerts"]
        return {a["labels"]["alertname"] for a in alerts if a["state"] == "firing"}

    async def is_ready(self) -> bool:
        try:
            return (await self._http.get("/-/ready")).is_success
        except httpx.HTTPError:
            return False

    async def close(self) -> None:
        await self._http.aclose()


async def traffic(worker: WorkerProcess, provider: Simulator) -> None:
    """Send messages that produce every series in rules and dashboard."""
    await provider.reset()
    await worker.send(message="x")
    await worker.send(to="+4915550000000", template="visa_approved")
    await worker.send(to="+4915550000000", template="visa_approved")
    await provider.faults(
        Fault(route="send_text", status=429, headers={"retry-after": "0"}, times=1)
    )
    await worker.send(message="x")
    await provider.faults(Fault(route="send_text", status=401))
    await worker.send(message="x")
    await provider.faults(Fault(route="send_text", kind="cut"))
    await worker.send(message="x", delivery="at_most_once")
    # A workflow type that no worker knows fails its workflow task for as long as it runs.
    stuck = await worker.client.start_workflow(
        "NoSuchWorkflow", id=f"stuck-{uuid.uuid4()}", task_queue=worker.task_queue
    )
    failures = "temporal_workflow_task_execution_failed_total"

    async def failed() -> bool:
        return (await worker.metrics()).sum(failures) > 0

    await until(failed)
    await stuck.terminate()


@pytest.fixture(scope="module")
async def prometheus(
    worker: WorkerProcess, provider_process: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((FOLDER / "prometheus-local.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(FOLDER / "alerts.yml")]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [worker.metrics_bind]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    bind = f"127.0.0.1:{free_port()}"
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={bind}",
            stdout=log,
            stderr=log,
        )
    running = Prometheus(f"http://{bind}")
    try:
        await until(running.is_ready)
        await until(lambda: running.has("up == 1"))
        await traffic(worker, provider_process)
        yield running
    finally:
        await running.close()
        process.terminate()
        await process.wait()


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
        ("check", "config", "prometheus.yml"),
        ("check", "config", "prometheus-local.yml"),
    ],
)
def test_promtool_finds_no_error(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_severity_a_description_and_a_section_in_the_runbook(name: str) -> None:
    rule = ALERTS[name]
    assert name.startswith("SendWhatsApp")
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"


def test_every_alert_has_a_test() -> None:
    tests = (FOLDER / "alerts_test.yml").read_text()
    assert [name for name in ALERTS if name not in tests] == []


def test_the_error_types_in_rules_exist() -> None:
    named = re.findall(r'error_type[!=~]+"([^"]+)"', " ".join(rule["expr"] for rule in RULES))
    assert named
    assert {type_ for names in named for type_ in names.split("|")} <= set(ErrorType)


@pytest.mark.parametrize("selector", sorted(selectors()))
async def test_each_metric_and_label_exists(prometheus: Prometheus, selector: str) -> None:
    await until(lambda: prometheus.has(selector))


@pytest.mark.parametrize(("title", "query"), queries())
async def test_each_panel_shows_a_number(prometheus: Prometheus, title: str, query: str) -> None:
    await until(lambda: prometheus.has(query))


async def test_exactly_the_expected_alerts_fire(
    prometheus: Prometheus,
) -> None:
    expected = {
        "SendWhatsAppOutcomeUnknown",
        "SendWhatsAppUnauthorized",
        "SendWhatsAppWorkflowTaskFailures",
    }

    async def fire() -> bool:
        return await prometheus.firing() >= expected

    await until(fire)
    assert await prometheus.firing() == expected


def test_grafana_finds_the_dashboard_and_its_data_source() -> None:
    def provisioned(kind: str) -> dict[str, Any]:
        [path] = (FOLDER / "grafana" / "provisioning" / kind).glob("*.yml")
        return dict(yaml.safe_load(path.read_text()))

    [source] = provisioned("datasources")["datasources"]
    assert {p["datasource"]["uid"] for p in DASHBOARD["panels"]} == {source["uid"]}
    [provider] = provisioned("dashboards")["providers"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    mounts = [v.split(":") for v in compose["services"]["grafana"]["volumes"]]
    [folder] = [here for here, there, _ in mounts if there == provider["options"]["path"]]
    assert list((ROOT / Path(folder)).glob("*.json"))
