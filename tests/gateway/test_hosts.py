"""Without tokens, the gateway serves only requests that name this machine."""

import pytest
from temporalio.client import Client

from send_whatsapp.gateway.tokens import Tokens
from tests.gateway.conftest import PROBLEM, gateway

PATHS = ("/healthz", "/readyz", "/openapi.json", "/v1/messages/none", "/v1/webhooks/shop", "/x")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:9", "localhost", "LOCALHOST:8080", "[::1]", "[::1]:80"]
)
async def test_local_hosts_are_served(client: Client, host: str) -> None:
    async with gateway(client, "nobody") as http:
        assert (await http.get("/healthz", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.com",
        "localhost.evil.example.com",
        "127.0.0.1.evil.example.com:8080",
        "evil.example.com:127.0.0.1",
        "localhost@evil.example.com",
        "127.0.0.2",
        "0.0.0.0",
        "[::2]",
        "localhost:80:80",
        "localhost, evil.example.com",
        "",
    ],
)
async def test_other_hosts_are_refused_on_every_route(client: Client, host: str) -> None:
    async with gateway(client, "nobody") as http:
        for path in PATHS:
            answer = await http.get(path, headers={"Host": host})
            assert (answer.status_code, answer.headers["content-type"]) == (421, PROBLEM)
            assert answer.headers["connection"] == "close"


async def test_with_tokens_every_host_is_served(client: Client) -> None:
    async with gateway(client, "nobody", Tokens({"crm": "the-token-of-crm"}, None)) as http:
        answer = await http.get("/healthz", headers={"Host": "gateway.example.com"})
        assert answer.status_code == 200
