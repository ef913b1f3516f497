"""The OpenAPI document, and Swagger UI from files of a package.

Shops' networks are closed, so nothing comes from a CDN.
"""

import asyncio
import secrets
from importlib.resources import files
from typing import Final, Literal

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, HTMLResponse

from app.routers.deps import PUBLIC

_ASSETS: Final = files("fastapi_offline") / "static"
_ASSET_SECONDS: Final = 3600

_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Servicelane API 接口文档</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{base}/docs/assets/swagger-ui.css">
<style>
body {{ margin: 0; }}
.swagger-ui .response-col_links,
.swagger-ui .json-schema-2020-12-keyword--discriminator {{ display: none; }}
.swagger-ui .json-schema-2020-12__attribute--primary {{
  display: inline-block; max-width: 48ch; overflow: hidden; text-overflow: ellipsis;
  vertical-align: bottom; white-space: nowrap;
}}
</style>
</head>
<body>
<div id="swagger-ui"></div>
<script src="{base}/docs/assets/swagger-ui-bundle.js"></script>
<script nonce="{nonce}">
SwaggerUIBundle({{
  url: "{base}/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "list",
  defaultModelExpandDepth: 2,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: true,
  showExtensions: true,
  tryItOutEnabled: true,
  validatorUrl: null
}});
</script>
</body>
</html>
"""

router = APIRouter(dependencies=[PUBLIC], include_in_schema=False)


@router.get("/openapi.json")
async def openapi_document(request: Request) -> Response:
    """The document of this version; public, as it tells nothing about a shop.

    It is made when it is first asked for, beside the event loop, as that takes a second.
    """
    app = request.app
    if (document := getattr(app.state, "openapi_document", None)) is None:
        document = await asyncio.to_thread(lambda: orjson.dumps(app.openapi()))
        app.state.openapi_document = document
    return Response(document, media_type="application/json")


@router.get("/docs")
async def swagger_ui(request: Request) -> HTMLResponse:
    """The page; the browser may load nothing for it from anywhere else."""
    nonce = secrets.token_urlsafe(16)
    base = request.scope.get("root_path", "").rstrip("/")
    return HTMLResponse(
        _PAGE.format(base=base, nonce=nonce),
        headers={
            "Content-Security-Policy": "default-src 'none'; connect-src 'self'; "
            f"script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data:; font-src 'self' data:; base-uri 'none'; "
            "frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
        },
    )


@router.get("/docs/assets/{name}")
async def swagger_ui_asset(
    name: Literal["swagger-ui-bundle.js", "swagger-ui.css"],
) -> FileResponse:
    """A file of the package."""
    return FileResponse(
        str(_ASSETS / name), headers={"Cache-Control": f"public, max-age={_ASSET_SECONDS}"}
    )
