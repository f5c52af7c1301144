"""The search attributes that starters set, and servers that do not have them."""

from pathlib import Path

from temporalio.api.operatorservice.v1 import RemoveSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from send_whatsapp.client import sends
from send_whatsapp.contract import attributes
from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.temporal.search_attributes import (
    distrust_search_attributes,
    register_search_attributes,
    registered_search_attributes,
)
from tests.conftest import until
from tools.dev_server import dev_server

NAMES = [key.name for key in attributes.ALL]


async def attributes_at_start(client: Client, **fields: str) -> dict[str, object]:
    request = SendWhatsAppRequest.model_validate({"to": "(415) 555-2671"} | fields)
    started = await sends.start_send(client, request, task_queue="nobody")
    described = await client.get_workflow_handle(started.id).describe()
    return {pair.key.name: pair.value for pair in described.typed_search_attributes}


async def test_a_starter_sets_kind_template_and_last_digits(client: Client) -> None:
    assert await attributes_at_start(client, template="visa", message="x") == {
        "WhatsAppKind": "template",
        "WhatsAppTemplate": "visa",
        "WhatsAppPhoneLast4": "2671",
    }
    file = {"fileUrl": "https://example.com/a.pdf", "fileType": "document"}
    assert (await attributes_at_start(client, **file))["WhatsAppKind"] == "media"
    # The worker reports what is wrong with the number.
    assert await attributes_at_start(client, to="call me", message="x") == {"WhatsAppKind": "text"}


async def test_a_start_works_whatever_attributes_the_server_has(tmp_path: Path) -> None:
    async with dev_server(tmp_path / "server.log") as server:
        client = await Client.connect(server.address, plugins=[contract_plugin()])
        assert await attributes_at_start(client, message="x") == {}
        assert await register_search_attributes(client)
        # It has looked already.
        assert await attributes_at_start(client, message="x") == {}
        another = await Client.connect(
            server.address.replace("127.0.0.1", "localhost"), plugins=[contract_plugin()]
        )
        assert await registered_search_attributes(another) == set(NAMES)
        assert await attributes_at_start(another, message="x")
        await client.operator_service.remove_search_attributes(
            RemoveSearchAttributesRequest(namespace="default", search_attributes=NAMES)
        )
        await until(lambda: _is_unknown(client, NAMES[0]))
        assert await attributes_at_start(another, message="x") == {}
        distrust_search_attributes(another)
        assert await registered_search_attributes(another) == set()


async def _is_unknown(client: Client, name: str) -> bool:
    try:
        await client.count_workflows(f"{name} = 'x'")
    except RPCError:
        return True
    return False
