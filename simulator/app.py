"""The HTTP application: the provider's API, the admin API, and the page of the phones."""

from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from simulator.account import CustomField
from simulator.faults import Fault
from simulator.page import page
from simulator.provider import Provider
from simulator.state import Flow


def create_app(provider: Provider) -> Starlette:
    """Return the simulator as an ASGI application."""
    state = provider.state

    async def inbox(request: Request) -> Response:
        phone = request.query_params.get("phone")
        return JSONResponse([m.model_dump() for m in state.inbox if phone in (None, m.phone)])

    async def requests(request: Request) -> Response:
        return JSONResponse([seen.model_dump() for seen in state.requests])

    async def stats(request: Request) -> Response:
        return JSONResponse(
            {
                "calls": provider.calls,
                "messages": len(state.inbox),
                "rendering": state.rendering.waiting,
            }
        )

    async def reset(request: Request) -> Response:
        state.reset()
        provider.faults.install([])
        return JSONResponse({})

    async def faults(request: Request) -> Response:
        body = await request.json()
        rules = TypeAdapter(list[Fault]).validate_python(body["rules"])
        provider.faults.install(rules, body.get("seed", 0))
        return JSONResponse({})

    async def flows(request: Request) -> Response:
        state.flows = {flow["id"]: Flow(**flow) for flow in await request.json()}
        return JSONResponse({})

    async def contacts(request: Request) -> Response:
        if request.method == "GET":
            found = state.contacts.values()
            return JSONResponse([{"phone": c.phone} | state.shown(c) for c in found])
        for changes in await request.json():
            contact = state.upsert(changes["phone"], changes.get("first_name", ""))
            contact.subscribed = changes.get("subscribed", contact.subscribed)
            contact.fields |= changes.get("fields", {})
            if "tags" in changes:
                contact.tags = {state.tags.create(name).id for name in changes["tags"]}
        return JSONResponse({})

    async def rendering(request: Request) -> Response:
        state.rendering.delay_ms = (await request.json())["delay_ms"]
        return JSONResponse({})

    async def custom_fields(request: Request) -> Response:
        state.custom_fields = [CustomField(**field) for field in await request.json()]
        return JSONResponse({})

    async def show_phones(request: Request) -> Response:
        return HTMLResponse(page(state))

    return Starlette(
        routes=[
            Route("/api/{path:path}", provider.call, methods=["GET", "POST", "DELETE"]),
            Route("/admin/inbox", inbox),
            Route("/admin/requests", requests),
            Route("/admin/stats", stats),
            Route("/admin/reset", reset, methods=["POST"]),
            Route("/admin/faults", faults, methods=["POST"]),
            Route("/admin/flows", flows, methods=["POST"]),
            Route("/admin/contacts", contacts, methods=["GET", "POST"]),
            Route("/admin/rendering", rendering, methods=["POST"]),
            Route("/admin/custom_fields", custom_fields, methods=["POST"]),
            Route("/", show_phones),
        ]
    )
