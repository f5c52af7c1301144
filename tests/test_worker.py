"""The worker process: when it does not start, and what it logs."""

import asyncio
import json
import os
import signal
import sys
import uuid

import pytest
from temporalio.client import Client

from send_whatsapp.client import sends
from send_whatsapp.client.sends import start_send
from send_whatsapp.client.state import Started, State, get_state
from send_whatsapp.contract.request import SendWhatsAppRequest
from simulator.faults import Fault
from simulator.process import Simulator, simulator
from tests.conftest import ROOT, SendHarness, error_type, new_phone
from tools.dev_server import DevServer, free_port


async def start(**variables: str) -> asyncio.subprocess.Process:
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("CGB_", "TEMPORAL_"))}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "worker.py"),
        env=kept | variables,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "CGB_API_KEY is not set"),
        ({"CGB_API_KEY": "bad"}, "correct CGB_API_KEY"),
        ({"CGB_API_KEY": "demo-key", "CGB_TIMEOUT": "0"}, "CGB_TIMEOUT"),
        ({"CGB_API_KEY": "demo-key", "LOG_LEVEL": "loud"}, "LOG_LEVEL must be"),
        ({"CGB_API_KEY": "demo-key", "METRICS_BIND": "no.invalid:1"}, "METRICS_BIND cannot"),
        ({"CGB_API_KEY": "demo-key", "METRICS_BIND": "192.0.2.1:1"}, "METRICS_BIND cannot"),
        ({"CGB_API_KEY": "demo-key", "TEMPORAL_TLS": "maybe"}, "TEMPORAL_TLS"),
    ],
)
async def test_a_wrong_setting_or_key_ends_it_with_one_line(
    server: DevServer, provider: Simulator, variables: dict[str, str], message: str
) -> None:
    process = await start(
        TEMPORAL_ADDRESS=server.address,
        CGB_API_URL=provider.url,
        **{"LOG_LEVEL": "ERROR", **variables},
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    assert message in err.decode()
    assert len(err.decode().strip().splitlines()) == 1


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
async def test_no_log_or_failure_contains_private_data(
    server: DevServer, client: Client, provider: Simulator, level: str
) -> None:
    key, text, phone = "demo-key", "The canary sings at midnight", new_phone()
    queue = f"test-{uuid.uuid4()}"
    echo = f"no {phone} and {phone[1:]} and {text} with {key}"
    body = {"error": {"code": 400, "message": echo}}
    await provider.faults(
        Fault(route="account", status=500, times=1),
        Fault(route="find_contact", status=503, body=body, times=1),
        Fault(route="send_text", status=429, body=body, headers={"retry-after": "0"}, times=1),
        Fault(route="send_text", status=400, body=body, times=1),
        Fault(route="send_text", kind="cut", times=1),
        Fault(route="send_file", status=200, body=echo),
    )
    process = await start(
        TEMPORAL_ADDRESS=server.address,
        TEMPORAL_TASK_QUEUE=queue,
        CGB_API_URL=provider.url,
        CGB_API_KEY=key,
        CGB_TIMOUT="1",
        LOG_LEVEL=level,
        LOG_FORMAT="json",
    )

    async def send(**fields: str) -> State:
        started = await sends.start_send(
            client,
            SendWhatsAppRequest.model_validate({"to": phone, **fields}),
            task_queue=queue,
        )
        return await get_state(client, started.id, wait=True)

    states = [
        await send(message=text),
        await send(message=text, delivery="at_most_once"),
        await send(message=text),
        await send(fileUrl="https://example.com/canary.png", fileType="document"),
        await send(template="nothing", message=text),
        await send(template="nothing"),
    ]
    await client.start_workflow("SendWhatsApp", text, id=f"x-{queue}", task_queue=queue)
    await get_state(client, f"x-{queue}", wait=True)
    process.send_signal(signal.SIGTERM)
    _, err = await process.communicate()
    assert process.returncode == 0
    lines = err.decode().splitlines()
    assert all(json.loads(line)["message"] for line in lines)
    digits = phone[1:]
    for private in (text, "canary", digits, phone[-8:]):
        assert private not in err.decode()
    assert f'"{key}"' not in err.decode()
    assert "CGB_TIMEOUT" in err.decode()
    assert "does not fit fileType" in err.decode()
    assert {s.outcome for s in states} == {"accepted", "failed", "unknown"}
    calls = [json.loads(line) for line in lines if "provider call" in line]
    one = next(c for c in calls if c.get("route", "").endswith("/send/text"))
    assert {"workflow_id", "run_id", "activity", "attempt", "correlation_id"} <= set(one)
    assert {"method", "status", "ms"} <= set(one)
    for state in states:
        if state.result and state.result.error:
            assert text not in state.result.error.message
            assert digits not in state.result.error.message
            assert key not in state.result.error.message


async def test_it_gives_up_if_temporal_does_not_answer(
    provider: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    import worker
    from send_whatsapp.telemetry import metrics

    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{free_port()}")
    with pytest.raises(worker.CannotStart, match="Temporal does not answer"):
        await worker.connect(metrics.runtime(None), within_s=1.5)


def test_it_registers_every_activity() -> None:
    import inspect

    from activities import contacts, flows, messages, preparation

    defined = {
        name
        for module in (contacts, flows, messages, preparation)
        for _, owner in inspect.getmembers(module, inspect.isclass)
        for name, method in inspect.getmembers(owner)
        if hasattr(method, "__temporal_activity_definition")
    }
    source = inspect.getsource(__import__("worker").all_activities)
    assert defined
    assert all(f".{name}," in source for name in defined)


async def test_it_serves_metrics_for_prometheus(
    server: DevServer, client: Client, provider: Simulator
) -> None:
    import httpx

    queue, port = f"test-{uuid.uuid4()}", free_port()
    process = await start(
        TEMPORAL_ADDRESS=server.address,
        TEMPORAL_TASK_QUEUE=queue,
        CGB_API_URL=provider.url,
        CGB_API_KEY="demo-key",
        METRICS_BIND=f"127.0.0.1:{port}",
    )
    harness = SendHarness.__new__(SendHarness)
    harness.client, harness.task_queue = client, queue
    assert (await harness.send(message="x")).outcome == "accepted"
    assert (await harness.send(template="nothing")).outcome == "failed"
    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
    process.terminate()
    await process.communicate()
    assert "send_whatsapp_sends_total{" in text
    assert 'outcome="accepted"' in text
    assert 'error_type="TemplateNotFound"' in text
    assert "send_whatsapp_provider_call_duration_seconds_bucket" in text
    assert 'route="POST /contacts/{contact_id}/send/text"' in text
    assert "send_whatsapp_cache_lookups_total" in text
    assert "send_whatsapp_time_to_accepted_seconds_count" in text


async def test_a_worker_whose_key_is_revoked_stops_and_leaves_messages_to_others(
    server: DevServer, client: Client, provider: Simulator
) -> None:
    queue = f"test-{uuid.uuid4()}"
    variables = {"TEMPORAL_ADDRESS": server.address, "TEMPORAL_TASK_QUEUE": queue}
    variables |= {"CGB_API_KEY": "demo-key", "CGB_RETRY_ATTEMPTS": "1", "LOG_LEVEL": "ERROR"}
    request = SendWhatsAppRequest(to=new_phone(), message="x")
    async with simulator("--delay-ms", "100") as other:
        good = await start(CGB_API_URL=provider.url, **variables)
        bad = await start(CGB_API_URL=other.url, **variables)
        runs: list[Started] = []

        async def send() -> None:
            to_one = request.model_copy(update={"to": new_phone()})
            runs.append(await start_send(client, to_one, task_queue=queue))

        while not await other.inbox():
            await send()
        await other.faults(Fault(status=401))
        await asyncio.gather(*(send() for _ in range(150)))
        states = [await get_state(client, run.id, wait=True) for run in runs]
        assert await asyncio.wait_for(bad.wait(), 30) == 1
        checks = [seen["at"] for seen in await other.requests("account")]
        calls = [seen["at"] for seen in await other.requests() if seen["route"] != "account"]
        arrived = len(await other.inbox()) + len(await provider.inbox())
    good.terminate()
    await good.communicate()
    failed = [error_type(state) for state in states if state.outcome != "accepted"]
    assert set(failed) <= {"Unauthorized"}
    assert arrived == len(runs) - len(failed)
    # From the check of the key on, no further call was made: only what was in flight failed.
    assert len(checks) == 2
    assert max(calls) <= checks[1] + 0.1


async def test_a_key_that_could_not_be_checked_at_the_start_is_checked_again(
    server: DevServer, client: Client, provider: Simulator
) -> None:
    queue = f"test-{uuid.uuid4()}"
    await provider.faults(
        Fault(route="account", status=503, times=2), Fault(route="account", status=401)
    )
    process = await start(
        TEMPORAL_ADDRESS=server.address,
        TEMPORAL_TASK_QUEUE=queue,
        CGB_API_URL=provider.url,
        CGB_API_KEY="demo-key",
        LOG_LEVEL="ERROR",
    )
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert err.decode().strip().splitlines() == [
        "The provider refuses the key, so this worker stops: correct CGB_API_KEY; for example"
        " CGB_API_KEY=the key from the provider's settings page"
    ]
