"""Registers the search attributes on the server, or logs how an administrator can."""

import asyncio
import logging

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

from send_whatsapp.contract import attributes

logger = logging.getLogger(__name__)

USABLE_WITHIN_S = 30.0

_KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
_NAMES = [key.name for key in attributes.ALL]


async def register_search_attributes(client: Client) -> bool:
    """Return whether every search attribute is registered and usable.

    A worker polls only after this, because the upsert of an unregistered attribute fails its
    workflow task forever. If the server does not allow the registration, for any reason, the
    command for an administrator is logged, and runs work without attributes.
    """
    try:
        missing = await missing_search_attributes(client)
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(
                    namespace=client.namespace,
                    search_attributes=dict.fromkeys(missing, _KEYWORD),
                )
            )
        await _until_usable(client, _NAMES)
    except (RPCError, TimeoutError) as error:
        reason = error.status.name if isinstance(error, RPCError) else "not usable in time"
        logger.warning(
            "cannot register search attributes (%s), working without them; an administrator can"
            " run: %s",
            reason,
            registration_command(client, _NAMES),
        )
        return False
    return True


async def missing_search_attributes(client: Client) -> list[str]:
    """Return the names of our search attributes that the server does not have. Raises RPCError."""
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return [name for name in _NAMES if listed.custom_attributes.get(name) != _KEYWORD]


def registration_command(client: Client, names: list[str]) -> str:
    """Return the command with which an administrator registers search attributes."""
    arguments = " ".join(f"--name {name} --type Keyword" for name in names)
    return f"temporal operator search-attribute create --namespace {client.namespace} {arguments}"


async def _until_usable(client: Client, names: list[str]) -> None:
    """Wait until the server accepts each name in a query; it caches the registered names."""
    query = " OR ".join(f'{name} = "-"' for name in names)
    async with asyncio.timeout(USABLE_WITHIN_S):
        while True:
            try:
                await client.count_workflows(query)
            except RPCError:
                await asyncio.sleep(0.2)
            else:
                return
