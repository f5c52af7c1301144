"""Registers the search attributes on the server, or says how an administrator does."""

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


async def register_search_attributes(client: Client) -> bool:
    """Return whether every search attribute is registered and usable.

    An upsert of an unregistered attribute fails its workflow task for ever, so a worker begins to
    poll only after this. Where registering is not allowed, for whatever reason, the command for an
    administrator is logged once and runs go on without attributes.
    """
    names = [key.name for key in attributes.ALL]
    try:
        listed = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
        missing = [n for n in names if listed.custom_attributes.get(n) != _KEYWORD]
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(
                    namespace=client.namespace,
                    search_attributes=dict.fromkeys(missing, _KEYWORD),
                )
            )
        await _until_usable(client, names)
    except (RPCError, TimeoutError) as error:
        words = " ".join(f"--name {name} --type Keyword" for name in names)
        reason = error.status.name if isinstance(error, RPCError) else "not usable in time"
        logger.warning(
            "search attributes cannot be registered (%s), going on without them; an administrator"
            " can run: temporal operator search-attribute create --namespace %s %s",
            reason,
            client.namespace,
            words,
        )
        return False
    return True


async def _until_usable(client: Client, names: list[str]) -> None:
    """Return when the server takes each name in a query; it caches what is registered."""
    query = " OR ".join(f'{name} = "-"' for name in names)
    async with asyncio.timeout(USABLE_WITHIN_S):
        while True:
            try:
                await client.count_workflows(query)
            except RPCError:
                await asyncio.sleep(0.2)
            else:
                return
