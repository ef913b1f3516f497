"""The web application: lifespan, middleware, routers, problems, and the OpenAPI document.

`servicelane serve` starts it. It will not start on an outdated schema.
"""

import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from app import problems
from app.db.migrations import check_schema
from app.domain.errors import MalformedBodyError, PayloadTooLargeError
from app.factory import Factory, open_factory
from app.routers import (
    complaints,
    customers,
    docs,
    event_feed,
    event_types,
    events,
    examples,
    feeds,
    follow_ups,
    health,
    imports,
    jobs,
    kpis,
    links,
    mappings,
    metrics,
    names,
    quarantine,
    quarantine_runs,
    repair_orders,
    sandbox,
    stores,
    webhooks,
)
from app.routers.schemas.events import event_components
from app.scheduler import Scheduler, Tick
from app.services.instruments import Instruments
from app.services.time_source import TimeSource
from app.settings import Settings
from app.telemetry import REQUEST_ID_HEADER, RequestLogMiddleware

ROUTERS: Final[Sequence[APIRouter]] = (
    events.router,
    repair_orders.router,
    follow_ups.router,
    complaints.router,
    links.router,
    customers.router,
    names.router,
    kpis.router,
    jobs.router,
    event_feed.router,
    feeds.router,
    stores.router,
    mappings.router,
    quarantine_runs.router,
    quarantine.router,
    imports.router,
    webhooks.router,
    sandbox.router,
    event_types.router,
    health.router,
    metrics.router,
    docs.router,
)
"""Every router, the busiest first: routes are tried in this order."""

TAGS: Final = (
    ("events", "Events 事件: what happened in the shop comes in here."),
    ("quarantine", "Quarantine 隔离区: events that could not be understood, kept with a reason."),
    ("imports", "Imports 导入: files that came in, and what became of their rows."),
    ("feeds", "Feeds 数据源: what comes from whom, how late, and who has fallen silent."),
    ("stores", "Stores 门店: made before their first event."),
    ("mappings", "Mappings 字段映射: how columns and coded values of a source become facts."),
    ("repair-orders", "Repair orders 维修工单: status, promise, verdict and timeline."),
    ("follow-ups", "Follow-ups 客户回访: calls after the delivery, each with its window."),
    ("complaints", "Complaints 客户投诉: to be contacted within 24 hours."),
    ("customers", "Customers and vehicles 客户与车辆: files and what happened with them."),
    (
        "links",
        "Late linking 关联: orders without customer or vehicle, customers with several files.",
    ),
    ("staff", "Staff 员工: advisors, technicians, teams."),
    ("kpis", "KPIs 指标: every number opens down to its repair orders and events."),
    ("jobs", "Jobs 任务: the nightly run."),
    ("webhooks", "Webhooks 回调: alerts and events, pushed and signed."),
    ("sandbox", "Sandbox 沙盒: move the service's time to rehearse a month in a minute."),
    ("health", "Health 健康检查: for those who start, stop and route to the process."),
)

DESCRIPTION: Final = """\
The after-sales desk of a car dealership (4S店) as a service: it takes the facts that the
workshop's DMS already knows, watches every promise that the shop made, says so the moment a
call or an answer is overdue, and turns the same facts into KPIs that open down to the repair
orders behind them.

- **Errors** are problem details (RFC 9457, `application/problem+json`); 422 lists each fault with
  a JSON pointer.
- **Lists** answer `{"items": [...], "next_cursor": ...}`; follow the cursor until it is null.
- **Times** are RFC 3339 with an offset; money and numbers of KPIs are decimal text.
- **Writes** may carry `Idempotency-Key`; commands may carry `If-Match` with the subject's version.

汽车经销商售后服务台：接收工单事件，监控每一项承诺（交车时间、回访、投诉响应），并生成可逐级追溯到工单的指标。
"""

_FORGET_SECONDS: Final = 3600.0
"""How often it is looked for what was kept long enough."""

_RUNS_SECONDS: Final = 1.0
"""How often runs over the quarantine are looked for."""

_MADE_STORES_SECONDS: Final = 5.0
"""How often it is looked whether a store is there by now that events in quarantine wait for."""

_FRAMEWORK_SUCCESS: Final = "Successful Response"
_SUCCESSES: Final = {
    "200": "Done 成功",
    "201": "Made 已建立",
    "202": "Taken in 已受理",
    "204": "Done, nothing to show 成功 无内容",
}
"""What is said of a success in its place, by status."""

_EXPOSED_HEADERS: Final = (
    *("ETag", "Link", "Location", "Preference-Applied", "Retry-After", "X-Head", "X-Next-After"),
    REQUEST_ID_HEADER,
)

log = structlog.stdlib.get_logger(__name__)


def create_app(
    settings: Settings | None = None,
    *,
    time_source: TimeSource | None = None,
    ticking: bool = True,
) -> FastAPI:
    """Make the application; nothing is opened before its lifespan begins.

    Args:
        settings: None reads the environment. They must name a database when the lifespan begins.
        time_source: In place of the one that the settings ask for.
        ticking: Whether clocks, webhooks and jobs run in this process.
    """
    settings = settings or Settings()
    instruments = Instruments()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if settings.database_url is None:
            raise RuntimeError("no database: start with `servicelane serve`")
        await check_schema(settings.database_url.get_secret_value())
        async with open_factory(
            settings, time_source=time_source, instruments=instruments
        ) as factory:
            app.state.factory = factory
            await _announce(factory)
            if not ticking:
                yield
                return
            scheduler = Scheduler(ticks_of(factory))
            scheduler.start()
            _settle_memory()
            try:
                yield
            finally:
                await scheduler.stop()

    app = FastAPI(
        title="Servicelane",
        summary="The after-sales desk of a car dealership 汽车售后服务台",
        description=DESCRIPTION,
        version=health.VERSION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_tags=[{"name": name, "description": text} for name, text in TAGS],
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        root_path=settings.root_path,
        lifespan=lifespan,
        middleware=_middleware(settings, instruments),
        generate_unique_id_function=_operation_id,
        webhooks=webhooks.notices,
    )
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router, responses=problems.responses())
    app.openapi = _openapi_of(app)  # type: ignore[method-assign]
    return app


def ticks_of(factory: Factory) -> list[Tick]:
    """What this process does by itself, and how often it looks whether there is work."""
    webhooks_out = factory.webhook_dispatcher
    return [
        Tick("clocks", factory.settings.clock_interval_seconds, factory.clocks.do_due),
        Tick("feeds", factory.settings.feed_interval_seconds, factory.feed_watch.do_due),
        Tick("webhooks", factory.settings.webhook_interval_seconds, webhooks_out.tick),
        Tick("webhooks-forget", _FORGET_SECONDS, webhooks_out.forget_finished),
        Tick("inbox", factory.settings.inbox_interval_seconds, factory.inbox.tick),
        Tick("metrics", factory.settings.refresh_interval_seconds, factory.metrics.refresh_behind),
        Tick("quarantine-runs", _RUNS_SECONDS, factory.quarantine_runs.do_runs),
        Tick("quarantine-made-stores", _MADE_STORES_SECONDS, factory.quarantine_runs.tick),
        Tick("nightly", factory.settings.nightly_interval_seconds, factory.nightly.tick),
    ]


def _middleware(settings: Settings, instruments: Instruments) -> list[Middleware]:
    """Outermost first."""
    stack = [Middleware(RequestLogMiddleware, note=instruments.note_request)]
    if settings.cors_origins:
        stack.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(settings.cors_origins),
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=list(_EXPOSED_HEADERS),
                max_age=3600,
            )
        )
    return [
        *stack,
        Middleware(problems.UnexpectedErrorMiddleware),
        Middleware(
            problems.BodyLimitMiddleware,
            limit=settings.max_body_bytes,
            is_stream=events.is_stream,
        ),
    ]


async def _announce(factory: Factory) -> None:
    """Say loudly what an operator must not overlook."""
    if factory.settings.sandbox:
        log.warning(
            "SANDBOX: callers can move the time of this service; never run it so in production"
        )
    if await factory.access.is_open():
        log.warning(
            "no key was issued yet: requests made on this machine need none",
            hint="servicelane keys issue",
        )


def _settle_memory() -> None:
    """Keep what lives as long as the process out of every later collection, and collect less.

    Full collections over the modules and models took up to 200 ms, in the middle of requests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _operation_id(route: APIRoute) -> str:
    return route.name


def _openapi_of(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Make the document once, with the schema that every problem refers to."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                openapi_version=app.openapi_version,
                summary=app.summary,
                description=app.description,
                license_info=app.license_info,
                tags=app.openapi_tags,
                routes=app.routes,
                webhooks=app.webhooks.routes,
                servers=[{"url": app.root_path}] if app.root_path else None,
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(problems.schemas())
            schemas.update(event_components())
            _complete(document)
            examples.add_examples(document)
            app.openapi_schema = document
        return app.openapi_schema

    return openapi


def _complete(document: dict[str, Any]) -> None:
    """Say of each operation what its form alone brings about.

    Its scope is told in words, as no viewer shows it. Whatever takes a body refuses one that is no
    JSON or too large; what is public asks for no key. A parameter may be absent, but never null.
    """
    of_bodies = problems.responses(MalformedBodyError, PayloadTooLargeError)
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                _without_null(parameter["schema"])
            responses = operation["responses"]
            for status, response in responses.items():
                if response["description"] == _FRAMEWORK_SUCCESS:
                    response["description"] = _SUCCESSES[status]
            if "requestBody" in operation:
                for status in (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
                    responses.setdefault(str(status.value), deepcopy(of_bodies[status]))
            if "security" in operation:
                scopes = (scope for needed in operation["security"] for scope in needed["key"])
                needs = "**Scope 权限** " + ", ".join(f"`{scope}`" for scope in scopes)
            else:
                needs = "**Public 公开**: needs no key."
                for status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                    responses.pop(str(status.value), None)
            operation["description"] += f"\n\n{needs}"
            operation["responses"] = dict(sorted(responses.items()))


def _without_null(schema: dict[str, Any]) -> None:
    """Write "this or null" as this."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del schema["anyOf"]
        schema.update(choices[0])
