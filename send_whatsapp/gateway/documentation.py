"""The routes of the documentation: the OpenAPI document, and pages that show it (Swagger UI)."""

from collections.abc import Mapping
from importlib.resources import files

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from send_whatsapp.gateway.openapi.document import openapi_document
from send_whatsapp.gateway.webhooks import Webhook

# Swagger UI sets styles in the page; everything else comes from the gateway itself.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>SendWhatsApp gateway</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"""


def add_documentation(app: FastAPI, webhooks: Mapping[str, Webhook], *, needs_token: bool) -> None:
    """Serve the document of the routes that `app` has so far, and its pages under /docs."""
    document = openapi_document(app, webhooks, needs_token=needs_token)
    shipped = files("fastapi_offline") / "static"
    served = {
        "/docs": (_PAGE.encode(), "text/html"),
        "/docs/start.js": (_START.encode(), "text/javascript"),
        **{
            f"/docs/{name}": ((shipped / name).read_bytes(), media_type)
            for name, media_type in (
                ("swagger-ui-bundle.js", "text/javascript"),
                ("swagger-ui.css", "text/css"),
            )
        },
    }

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return JSONResponse(document)

    for path, (content, media_type) in served.items():
        _serve(app, path, content, media_type)


def _serve(app: FastAPI, path: str, content: bytes, media_type: str) -> None:
    @app.get(path, include_in_schema=False)
    async def file() -> Response:
        headers = {"Content-Security-Policy": _POLICY}
        return Response(content, media_type=f"{media_type}; charset=utf-8", headers=headers)
