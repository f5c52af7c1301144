"""The cache of contact ids: what it remembers, and what forgetting a contact costs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from activities.contacts import ContactActivities, ResolveContact
from activities.key_monitor import KeyMonitor
from activities.opt_out import OptOutRules, OptOuts
from activities.provider import Provider
from activities.retries import RetryLimits
from send_whatsapp.cgb.client import CGBClient
from simulator.process import Simulator
from tests.conftest import new_phone, until

Resolve = Callable[[str], Awaitable[str]]
CACHE_S = 1.0


@pytest.fixture
async def contacts(provider: Simulator) -> AsyncIterator[ContactActivities]:
    async with CGBClient(provider.url, provider.key) as client:
        on = Provider(client, provider.key, KeyMonitor(client, 30), 30)
        opt_outs = OptOuts(on, OptOutRules("off", "opt-out", 300))
        yield ContactActivities(on, opt_outs, region="US", cache_timeout_s=CACHE_S)


@pytest.fixture
def resolve(contacts: ContactActivities) -> Resolve:
    async def call(number: str) -> str:
        request = ResolveContact(to=number, retry=RetryLimits(attempts=1, retry_for_s=0))
        environment = ActivityEnvironment()
        minute = timedelta(minutes=1)
        environment.info = replace(environment.info, start_to_close_timeout=minute)
        found = await environment.run(contacts.resolve_contact, request)
        assert found.contact is not None
        return found.contact.contact_id

    return call


class CountedId(str):
    """A contact id that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedId.compared += 1
        return str(self) == other

    __hash__ = str.__hash__


async def test_a_forgotten_contact_is_looked_up_again(
    contacts: ContactActivities, resolve: Resolve, provider: Simulator
) -> None:
    phone, other = new_phone(), new_phone()
    contact_id = await resolve(phone)
    await resolve(other)
    contacts.forget(contact_id)
    assert contacts.cached(phone) is None
    assert contacts.cached(other) is not None
    lookups = len(await provider.requests("find_contact"))
    assert await resolve(phone) == contact_id
    assert len(await provider.requests("find_contact")) > lookups
    assert contacts.cached(phone) == contact_id


async def test_a_forgotten_contact_never_becomes_valid_again_by_itself(
    contacts: ContactActivities, resolve: Resolve
) -> None:
    phone, seen = new_phone(), []
    contacts.forget(await resolve(phone))

    def another_contact_expires() -> bool:
        seen.append(contacts.cached(phone))
        return contacts.cached(later) is None

    later = new_phone()
    await resolve(later)
    await until(another_contact_expires, within_s=10 * CACHE_S)
    assert set(seen) == {None}


async def test_forgetting_a_contact_does_not_look_at_the_others(
    contacts: ContactActivities, resolve: Resolve
) -> None:
    for _ in range(10):
        await resolve(new_phone())
    CountedId.compared = 0
    contacts.forget(CountedId("4711"))
    assert CountedId.compared <= 2
