"""The application, as often as tests need it."""

from typing import Any, Final

from fastapi import FastAPI
from starlette.routing import BaseRoute

from app.main import create_app
from app.settings import Settings

_routes: Final[list[BaseRoute]] = []


def make_app(settings: Settings, **how: Any) -> FastAPI:
    """Make the application without its ticks, with the routes of the first one in this process.

    They are the same in all; to work them out, at its first request, takes as long as a test.
    """
    app = create_app(settings, ticking=False, **how)
    if not _routes:
        _routes.extend(app.router.routes)
    app.router.routes[:] = _routes
    return app
