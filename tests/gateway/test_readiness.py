"""`/readyz` says whether a message could be started now, and whether the clocks differ."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pytest
from temporalio.client import Client

from send_whatsapp.client.origin import Origin
from send_whatsapp.client.state import get_state
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.gateway import starts, time_limits
from send_whatsapp.gateway.problems import Problem
from send_whatsapp.gateway.readiness import Readiness
from send_whatsapp.gateway.starts import SendStarter
from send_whatsapp.settings import GatewaySettings
from send_whatsapp.temporal import clock
from send_whatsapp.temporal.clock import TemporalClock
from send_whatsapp.temporal.connection import TemporalUnavailable
from simulator.process import Simulator
from tests.conftest import SendHarness, error_type, new_phone, wrong_clock
from tests.gateway.conftest import PROBLEM, gateway, gateway_process, post
from tools.dev_server import DevServer, dev_server


async def test_a_gateway_that_can_start_messages_is_ready(client: Client) -> None:
    async with gateway(client, "nobody") as http:
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


async def test_a_gateway_without_its_namespace_is_not_ready(
    server: DevServer, tmp_path: Path
) -> None:
    variables = {"TEMPORAL_ADDRESS": server.address, "TEMPORAL_NAMESPACE": "missing"}
    async with gateway_process(tmp_path, **variables) as running:
        answer = await running.http.get("/readyz")
        assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
        assert "retry-after" in answer.headers
        assert server.address not in answer.text
        assert (await post(running.http)).status_code == 503
        assert (await running.http.get("/healthz")).status_code == 200
        assert "correct TEMPORAL_NAMESPACE" in running.log()


async def test_asking_starts_nothing(tmp_path: Path) -> None:
    async with dev_server(tmp_path / "log", database=tmp_path / "db") as server:
        client = await Client.connect(server.address)
        await Readiness(client).check()
        await TemporalClock(client).measure()
        assert (await client.count_workflows()).count == 0


async def test_a_failed_start_is_remembered_until_one_succeeds_or_some_time_has_passed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    readiness = Readiness(client)
    readiness.start_failed()
    with pytest.raises(Problem) as problem:
        await readiness.check()
    assert problem.value.status == 503
    readiness.start_succeeded()
    await readiness.check()
    monkeypatch.setattr(time_limits, "START_FAILED_S", 0.0)
    readiness.start_failed()
    await readiness.check()


@pytest.mark.parametrize("seconds", [-3600, -20, -4, 4, 20, 3600])
async def test_a_message_is_sent_however_wrong_the_clock_of_the_gateway_is(
    harness: SendHarness,
    provider: Simulator,
    tmp_path: Path,
    seconds: int,
) -> None:
    variables = wrong_clock(seconds) | {
        "TEMPORAL_ADDRESS": harness.client.service_client.config.target_host,
        "TEMPORAL_TASK_QUEUE": harness.task_queue,
    }
    async with gateway_process(tmp_path, **variables) as running:
        soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        until_then = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
        for fields in ({}, {"sendAt": soon, "expiresAt": until_then}):
            answer = await post(running.http, headers={"Prefer": "wait=20"}, **fields)
            assert (answer.status_code, answer.json()["status"]) == (200, "accepted")
        ready = await running.http.get("/readyz")
        side = "ahead of" if seconds > 0 else "behind"
        assert ready.status_code == 200
        assert f" s {side} Temporal's clock" in ready.json()["warning"]
        assert f" s {side} Temporal's clock" in running.log()
    assert len(await provider.inbox()) == 2


def shifted(seconds: float) -> type[datetime]:
    """Return a `datetime` whose clock is wrong."""

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Self:
            real = datetime.now(UTC) + timedelta(seconds=seconds)
            return cls.fromtimestamp(real.timestamp(), UTC)

    return Shifted


@pytest.mark.parametrize(
    ("seconds", "side"),
    [(0, None), (2.5, None), (-2.5, None), (4, "ahead of"), (-4, "behind"), (-5000, "behind")],
)
async def test_clocks_that_differ_by_more_than_3_s_are_a_warning(
    client: Client, monkeypatch: pytest.MonkeyPatch, seconds: float, side: str | None
) -> None:
    monkeypatch.setattr(clock, "datetime", shifted(seconds))
    temporal = TemporalClock(client)
    assert (temporal.now(), temporal.warning()) == (None, None)
    await temporal.measure()
    now = temporal.now()
    assert now is not None
    assert abs((now - datetime.now(UTC)).total_seconds()) < 1
    warning = temporal.warning()
    assert (warning is None) == (side is None)
    assert side is None or f" s {side} Temporal's clock" in str(warning)


async def test_a_start_that_would_expire_is_not_accepted_if_temporals_clock_is_unknown(
    harness: SendHarness, provider: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = harness.client
    settings = GatewaySettings.load({"TEMPORAL_TASK_QUEUE": harness.task_queue})
    request = SendWhatsAppRequest(to=new_phone(), message="x")
    starter = SendStarter(client, settings, TemporalClock(client), Readiness(client))
    id_ = f"k-{uuid.uuid4()}"
    monkeypatch.setattr(starts, "datetime", shifted(-20))
    with pytest.raises(TemporalUnavailable):
        await starter.start(request, id_, "anybody", Origin())
    assert error_type(await get_state(client, id_, wait=True)) == "Expired"
    monkeypatch.setattr(starts, "datetime", datetime)
    state = await starter.start(request, id_, "anybody", Origin())
    assert (await get_state(client, state.id, wait=True)).outcome == "accepted"
    assert len(await provider.inbox(request.to)) == 1
