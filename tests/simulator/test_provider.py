"""The simulated provider behaves like the real one where sends depend on it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import new_phone, until

VISA_APPROVED = 1752250957765
LONG_DELAY_MS = 60_000


@pytest.fixture
async def api(provider: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"X-ACCESS-TOKEN": provider.key}
    async with httpx.AsyncClient(base_url=provider.url, headers=headers, trust_env=False) as http:
        yield http


async def create(api: httpx.AsyncClient, phone: str) -> str:
    answer = await api.post("contacts", json={"phone": phone})
    return str(answer.json()["data"]["id"])


async def find(api: httpx.AsyncClient, phone: str) -> Any:
    query = {"field_id": "phone", "value": phone}
    return (await api.get("contacts/find_by_custom_field", params=query)).json()["data"][0]


def flow_with(**variables: object) -> dict[str, Any]:
    actions: list[dict[str, Any]] = [
        {"action": "set_field_value", "field_name": name, "value": value}
        for name, value in variables.items()
    ]
    return {
        "messages": [],
        "actions": [*actions, {"action": "send_flow", "flow_id": VISA_APPROVED}],
    }


async def texts(provider: Simulator, phone: str) -> list[str]:
    return [message["text"] for message in await provider.inbox(phone)]


async def test_a_call_that_is_held_does_its_work_once_the_faults_are_replaced(
    provider: Simulator, api: httpx.AsyncClient
) -> None:
    phone = new_phone()
    contact = await create(api, phone)
    await provider.faults(Fault(route="send_text", kind="hold", times=1))
    held = asyncio.create_task(api.post(f"contacts/{contact}/send/text", json={"text": "held"}))

    async def has_arrived() -> bool:
        return bool(await provider.requests("send_text"))

    await until(has_arrived)
    await api.post(f"contacts/{contact}/send/text", json={"text": "next"})
    assert await texts(provider, phone) == ["next"]
    assert not held.done()
    await provider.faults()
    assert (await held).json() == {"success": True}
    assert await texts(provider, phone) == ["next", "held"]


async def test_a_flow_is_rendered_at_once_by_default(
    provider: Simulator, api: httpx.AsyncClient
) -> None:
    phone = new_phone()
    contact = await create(api, phone)
    await api.post(f"contacts/{contact}/send_content", json=flow_with(name="Ada"))
    assert await texts(provider, phone) == ["Dear Ada, your visa is approved."]


async def test_a_flow_is_rendered_after_the_answer_from_the_fields_at_that_moment(
    provider: Simulator, api: httpx.AsyncClient
) -> None:
    phone = new_phone()
    contact = await create(api, phone)
    await provider.render_after(300)
    for name in ("Ada", "Bob"):
        answer = await api.post(f"contacts/{contact}/send_content", json=flow_with(name=name))
        assert answer.json() == {"success": True}
    assert await provider.inbox(phone) == []
    assert (await provider.stats())["rendering"] == 2

    async def rendered() -> bool:
        return (await provider.stats())["rendering"] == 0

    await until(rendered)
    assert await texts(provider, phone) == ["Dear Bob, your visa is approved."] * 2


async def test_a_reset_discards_flows_that_have_not_been_rendered(
    provider: Simulator, api: httpx.AsyncClient
) -> None:
    contact = await create(api, new_phone())
    await provider.render_after(LONG_DELAY_MS)
    await api.post(f"contacts/{contact}/send_content", json=flow_with(name="Ada"))
    await provider.reset()
    assert (await provider.stats())["rendering"] == 0


async def test_fields_keep_their_values_between_messages(
    provider: Simulator, api: httpx.AsyncClient
) -> None:
    phone = new_phone()
    contact = await create(api, phone)
    await api.post(f"contacts/{contact}/send_content", json=flow_with(name="Ada"))
    await api.post(f"contacts/{contact}/send/{VISA_APPROVED}", json={})
    assert await texts(provider, phone) == ["Dear Ada, your visa is approved."] * 2


async def test_the_account_has_fields_of_type_text_and_one_of_type_number(
    api: httpx.AsyncClient,
) -> None:
    fields = (await api.get("accounts/custom_fields")).json()
    assert {"id": 501, "name": "name", "type": 0} in fields
    assert [field["name"] for field in fields if field["type"] == 1] == ["amount"]


async def test_text_written_to_a_number_is_dropped(api: httpx.AsyncClient) -> None:
    phone = new_phone()
    contact = await create(api, phone)
    fields = flow_with(name="Ada", amount="12")
    answer = await api.post(f"contacts/{contact}/send_content", json=fields)
    assert answer.json() == {"success": True}
    found = await find(api, phone)
    assert found["custom_fields"] == [{"name": "name", "value": "Ada"}]


async def test_a_contact_shows_whether_it_is_subscribed_and_its_tags(
    provider: Simulator, api: httpx.AsyncClient
) -> None:
    phone = new_phone()
    contact = await create(api, phone)
    fresh = await find(api, phone)
    assert (fresh["subscribed"], fresh["tags"]) == (1, [])
    await provider.change_contact(phone, subscribed=2, tags=["vip"])
    for shown in (await find(api, phone), (await api.get(f"contacts/{contact}")).json()):
        assert shown["subscribed"] == 2
        assert [tag["name"] for tag in shown["tags"]] == ["vip"]
    assert (await provider.all_contacts())[0]["phone"] == phone


async def test_tags_are_created_found_added_and_removed(api: httpx.AsyncClient) -> None:
    contact = await create(api, new_phone())
    assert (await api.get("accounts/tags/name/opt-out")).status_code == 404
    tag = (await api.post("accounts/tags", data={"name": "opt-out"})).json()["id"]
    assert (await api.get("accounts/tags")).json() == [{"id": tag, "name": "opt-out"}]
    assert (await api.get("accounts/tags/name/opt-out")).json()["id"] == tag
    for _ in range(2):
        answer = await api.post(f"contacts/{contact}/tags/{tag}")
        assert answer.json() == {"success": True}
    carried = (await api.get(f"contacts/{contact}/tags")).json()
    assert carried == [{"id": tag, "name": "opt-out"}]
    await api.delete(f"contacts/{contact}/tags/{tag}")
    assert (await api.get(f"contacts/{contact}/tags")).json() == []


@pytest.mark.parametrize("path", ["contacts/1/tags/1001", "contacts/{known}/tags/9"])
async def test_an_unknown_contact_or_tag_is_not_found(api: httpx.AsyncClient, path: str) -> None:
    known = await create(api, new_phone())
    assert (await api.post(path.format(known=known))).status_code == 404


async def test_creating_a_known_contact_runs_the_actions_again(api: httpx.AsyncClient) -> None:
    phone = new_phone()
    await create(api, phone)
    actions = [{"action": "add_tag", "tag_name": "vip"}]
    await api.post("contacts", json={"phone": phone, "actions": actions})
    assert [tag["name"] for tag in (await find(api, phone))["tags"]] == ["vip"]
