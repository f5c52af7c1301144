"""The HTTP calls to receivers: signed, bounded, and only to addresses that may be called."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult

from send_whatsapp.callbacks.file import Callback
from send_whatsapp.contract.public_address import is_public

TIMEOUT_S: Final = 10.0
"""Time for one call: look-up, connection, request and answer together."""

MAX_ANSWER_BYTES: Final = 4096
BODY_TIMEOUT_S: Final = 1.0

CONNECTIONS: Final = 100
KEEP_ALIVE_S: Final = 4.0
"""Shorter than the 5 s of common servers, so that they do not close a connection as we use it."""

LOOKUP_THREADS: Final = 4
_RESOLVED = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class NoAnswer(Exception):
    """The receiver gave no answer. The message completes "The receiver ..."; it has no URL."""


class _NotPublic(OSError):
    """An address that must not be called."""


class Receivers:
    """Calls receivers; with `allow_private` also those in private networks.

    `resolver` looks names up, by default as the system does. Nothing is opened before the first
    call.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        timeout_s: float = TIMEOUT_S,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._timeout_s = timeout_s
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Return these receivers."""
        return self

    async def __aexit__(
        self,
        type_: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()

    async def post(self, callback: Callback, id_: str, body: str) -> int:
        """Post a signed event and return the status of the answer. Raises NoAnswer."""
        if self._session is None:
            self._session = self._new_session()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(self._session, callback, id_, body)
        except TimeoutError:
            raise NoAnswer(f"did not answer within {self._timeout_s:g} s") from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.__cause__, _NotPublic):
                raise NoAnswer(
                    "has an address that is not public, so it was not called"
                    " (CALLBACKS_ALLOW_PRIVATE=true allows such addresses)"
                ) from None
            raise NoAnswer(f"cannot be reached ({type(error).__name__})") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoAnswer(f"gave no valid answer ({type(error).__name__})") from None

    async def _post(
        self, session: aiohttp.ClientSession, callback: Callback, id_: str, body: str
    ) -> int:
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "user-agent": "send-whatsapp",
            "webhook-id": id_,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(
                secret.sign(id_, now, body) for secret in callback.secrets
            ),
        }
        async with session.post(
            callback.url, data=body.encode(), headers=headers, allow_redirects=False
        ) as answer:
            # Only the status counts. A short body is read so that the connection can be used again;
            # otherwise it is closed.
            with suppress(TimeoutError, aiohttp.ClientError):
                async with asyncio.timeout(BODY_TIMEOUT_S):
                    await answer.content.read(MAX_ANSWER_BYTES)
            return answer.status

    def _new_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                # The certificate authorities that the provider's client uses.
                ssl=httpx.create_ssl_context(trust_env=False),
                limit=CONNECTIONS,
                keepalive_timeout=KEEP_ALIVE_S,
                resolver=self._resolver or _Resolver(),
                use_dns_cache=False,
                socket_factory=self._new_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )

    def _new_socket(self, address: Any) -> socket.socket:
        """Return the socket of a connection to this address, unless it must not be called.

        A name may have another address each time it is looked up, so this is checked for the very
        address that is connected to. Redirects, which could lead elsewhere, are not followed.
        """
        family, type_, protocol, _, (host, *_) = address
        if not self._allow_private and not is_public(ip_address(host.partition("%")[0])):
            raise _NotPublic("not public")
        return socket.socket(family, type_, protocol)


class _Resolver(AbstractResolver):
    """Looks names up in threads of its own.

    A slow DNS server of a receiver would otherwise hold the threads in which the provider's name
    is looked up, and messages would wait for callbacks.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, "callback-lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=found_family,
                proto=protocol,
                flags=_RESOLVED,
            )
            for found_family, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
