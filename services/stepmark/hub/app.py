"""The hub as one ASGI application: the guard, the API, the pages, and the thread that derives figures."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from stepmark import __version__
from stepmark.errors import StepmarkError
from stepmark.hub import api, downloads, health, pages
from stepmark.hub.callers import Callers
from stepmark.hub.database import Database
from stepmark.hub.deriver import Deriver
from stepmark.hub.guard import Guard
from stepmark.hub.refusals import Refused, response_to
from stepmark.hub.settings import Settings
from stepmark.telemetry.hub_meters import HubMeters

_ERRORS = (Refused, StepmarkError, RequestValidationError, HTTPException, sa.exc.SQLAlchemyError)


def create_app(settings: Settings, database: Database, meters: HubMeters, readiness: health.Readiness) -> FastAPI:
    """Return the hub's application.

    Raises:
        CannotRun: A token file or the cluster for token reviews is missing.
    """
    deriver = Deriver(database, meters, settings, readiness)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        deriver.start()
        yield
        deriver.stop()

    app = FastAPI(
        title="stepmark hub", version=__version__, lifespan=lifespan,
        openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None, redirect_slashes=False,
        responses=api.REFUSALS,
    )  # fmt: skip
    app.state.settings, app.state.database, app.state.meters = settings, database, meters
    app.state.readiness = readiness
    for router in (health.router, api.router, downloads.router):
        app.include_router(router)
    pages.include(app)
    for kind in _ERRORS:
        app.add_exception_handler(kind, response_to)
    app.state.callers = callers = Callers(settings)
    app.add_middleware(Guard, settings=settings, database=database, meters=meters, callers=callers, readiness=readiness)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return FastAPI's document, with the bodies that FastAPI does not see and the security scheme."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        _, bodies = models_json_schema(
            [(body, "validation") for body in api.BODIES], ref_template="#/components/schemas/{model}"
        )
        components = document.setdefault("components", {})
        components["schemas"] = bodies["$defs"] | components.get("schemas", {})
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        app.openapi_schema = document
    return app.openapi_schema
