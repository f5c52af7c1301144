"""The command `resend` with a filter: failed sends start again under their own keys."""

import uuid

from simulator.faults import Fault
from simulator.process import Simulator
from tests.cli.conftest import Cli
from tests.conftest import SendHarness, new_phone, until

FILTER = ("resend", "--outcome", "failed", "--error-type", "ProviderRejected", "--since", "1h")


async def test_failed_sends_start_again_under_their_own_keys(
    cli: Cli, harness: SendHarness, provider: Simulator
) -> None:
    phones = [new_phone() for _ in range(3)]
    keys = [f"order-{uuid.uuid4()}" for _ in phones]
    await provider.faults(Fault(route="send_text", status=400, times=2))
    for key, phone in zip(keys, phones, strict=True):
        await harness.send(key, to=phone, message="x")

    async def listed() -> bool:
        return len((await cli(*FILTER, "--dry-run", "--json")).json) == 2

    await until(listed)
    assert len(await provider.inbox()) == 1
    preview = (await cli(*FILTER, "--dry-run")).out
    assert "2 sends would start again. Nothing was started." in preview
    assert keys[0] in preview
    done = await cli(*FILTER, "--json")
    assert done.code == 0, done.err
    assert {each["id"] for each in done.json["started"]} == set(keys[:2])

    async def all_arrived() -> bool:
        return len(await provider.inbox()) == 3

    await until(all_arrived)
    assert sorted(message["phone"] for message in await provider.inbox()) == sorted(phones)
    # The key of each has sent now, so the same filter finds nothing to start.
    again = await cli(*FILTER, "--json")
    assert again.json["started"] == []
    assert len(await provider.inbox()) == 3


async def test_a_filter_and_an_id_exclude_each_other(cli: Cli) -> None:
    for words in ((), ("order-1", "--outcome", "failed"), ("order-1", "--dry-run")):
        refused = await cli("resend", *words)
        assert refused.code == 2
        assert "--outcome" in refused.err
