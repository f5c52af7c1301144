"""Registers the search attributes on the server, or logs how an administrator can."""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Final, NamedTuple

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

LOOKUP_TIMEOUT_S = 1.0
LOOK_AGAIN_AFTER_S = 60.0
"""A starter that has not found every attribute asks the server again after this time."""

_TYPES: Final = {
    key.name: IndexedValueType.ValueType(key.indexed_value_type) for key in attributes.ALL
}
_NAMES = list(_TYPES)


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
                    search_attributes={name: _TYPES[name] for name in missing},
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
    return [n for n, type_ in _TYPES.items() if listed.custom_attributes.get(n) != type_]


def registration_command(client: Client, names: list[str]) -> str:
    """Return the command with which an administrator registers search attributes."""
    arguments = " ".join(f"--name {name} --type {_cli_type(name)}" for name in names)
    return f"temporal operator search-attribute create --namespace {client.namespace} {arguments}"


def _cli_type(name: str) -> str:
    is_list = _TYPES[name] == IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST
    return "KeywordList" if is_list else "Keyword"


class _Lookup(NamedTuple):
    registered: frozenset[str]
    at: float


_lookups: dict[tuple[str, str], _Lookup] = {}


async def registered_search_attributes(client: Client) -> frozenset[str]:
    """Return the names of our search attributes that a starter may set.

    The server is asked once per process; again only if it lacked some or did not answer. Never
    raises, since no start may fail because of an attribute: names that are not known for sure are
    left out.
    """
    server = _server(client)
    known = _lookups.get(server)
    if known and (
        len(known.registered) == len(_NAMES) or time.monotonic() - known.at < LOOK_AGAIN_AFTER_S
    ):
        return known.registered
    found: frozenset[str] = frozenset()
    with suppress(RPCError, RuntimeError, TimeoutError):
        async with asyncio.timeout(LOOKUP_TIMEOUT_S):
            found = frozenset(_NAMES).difference(await missing_search_attributes(client))
    _lookups[server] = _Lookup(found, time.monotonic())
    return found


def distrust_search_attributes(client: Client) -> None:
    """Set none for a while: the server has refused one that it had listed."""
    _lookups[_server(client)] = _Lookup(frozenset(), time.monotonic())


def _server(client: Client) -> tuple[str, str]:
    return client.service_client.config.target_host, client.namespace


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
