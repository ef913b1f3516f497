"""The demo from its beginning to its end: a shop's half year, and what the service makes of it."""

import asyncio
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from pydantic import SecretStr

from app.db.sandbox import SandboxRepository
from app.demo.calendar import ZONE, Calendar
from app.demo.feed import Feed
from app.demo.life import DEFAULT_ZONE, arrivals, store_codes
from app.demo.receiver import Received, Receiver, open_receiver
from app.demo.serving import DemoError, base_url, free_port, new_place, served
from app.demo.show import (
    Stage,
    kpi_table,
    open_console,
    plain_table,
    said,
    timeline_table,
)
from app.domain.access import ALL_SCOPES, Scope
from app.factory import open_factory
from app.settings import Settings

SEED: Final = 20260101
TIMEOUT_SECONDS: Final = 900.0
WEBHOOK_SECONDS: Final = 60.0

_STEPS: Final = 6
_RATE: Final = "on_time_delivery_rate"
_CALLER: Final = "F01"


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller of the demo chose."""

    data_dir: Path
    host: str
    port: int
    months: int
    stores: int
    stays: bool


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of the demo's service: one for whoever looks at it, one for the shop's systems."""

    visitor: str
    shop: str


def run(options: Options) -> None:
    """Give the demo; returns when the service has ended, or after the tour.

    Raises:
        DemoError: It can't be given; the text says why and what to do.
        EmbeddedServerError: Its database can't be started.
    """
    stage = Stage(open_console(), ZONE, _STEPS)
    port = free_port(options.host, options.port)
    url = base_url(options.host, port)
    stage.console.print(
        "Servicelane demo 演示: a car dealership's workshop, its promises and its figures.\n"
        "Everything here is made up, and apart from any real data 全部为虚构数据."
    )
    stage.step("A database and a service of the demo's own 启动数据库和服务")
    began = time.monotonic()
    with new_place(options.data_dir) as place:
        calendar = Calendar.of(datetime.now(UTC), options.months)
        keys = asyncio.run(_prepare(place.database_url, calendar))
        with served(place, options.host, port) as process, open_receiver() as receiver:
            stage.say(f"Ready after {time.monotonic() - began:.0f} s on {url}")
            tour = _Tour(stage, receiver, calendar, options.stores, keys)
            try:
                asyncio.run(tour.give(url))
            except (httpx.HTTPError, ExceptionGroup) as error:
                raise DemoError(_trouble(error, place.log)) from error
            if options.stays:
                _stay(stage, process, place.log)


class _Tour:
    """The steps that talk to the service over HTTP."""

    def __init__(
        self, stage: Stage, receiver: Receiver, calendar: Calendar, stores: int, keys: Keys
    ) -> None:
        self._stage = stage
        self._receiver = receiver
        self._calendar = calendar
        self._keys = keys
        self._stores = store_codes(stores)
        self._store = self._stores[0]

    async def give(self, url: str) -> None:
        """Give the tour, in order."""
        async with (
            _client(url, self._keys.visitor) as client,
            _client(url, self._keys.shop) as shop,
        ):
            await self._make_stores(client)
            await self._post_life(shop, client)
            await self._run_night(client)
            await self._show_kpis(client)
            order = await self._show_why(client)
            await self._show_webhook(client)
            self._say_where_to_look(url, order)

    async def _make_stores(self, client: httpx.AsyncClient) -> None:
        for number, store_id in enumerate(self._stores, 1):
            body = {"name": f"Demo shop {number} 示范店{number}", "time_zone": DEFAULT_ZONE}
            await _ask(client, "PUT", f"/v1/stores/{store_id}", json=body)

    async def _post_life(self, shop: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
        """Fill in the history, then let the shop live: each evening brings the day's events."""
        stage, calendar = self._stage, self._calendar
        stage.step("The life of the shop, posted over HTTP 上报门店业务事件")
        stage.say(
            f"{', '.join(self._stores)}: {stage.minute(calendar.start)} to "
            f"{stage.minute(calendar.stop)}, about 40 repair orders 工单 a day and store; with "
            "late, repeated, contradicting and broken events"
        )
        if calendar.joins > calendar.start:
            stage.say(
                f"The history up to {stage.minute(calendar.joins)} is filled in at once 补录历史."
            )
        stage.say(
            "Then the service lives through each day 逐日推进: its clock (a sandbox's 沙盒) is "
            "moved on, calls fall due, nights run, and in the evening the day's events come in."
        )
        life = arrivals(self._stores, calendar.start, calendar.stop, SEED)
        with stage.progress(calendar.start, calendar.stop) as bar:
            feed = Feed(shop, bar.tell)
            for is_history, part in groupby(life, key=calendar.is_history):
                if is_history:
                    await feed.post(part)
                    stage.say("The first night judges all of it 首夜核算 ...")
                    continue
                for moment, batch in calendar.as_told(part):
                    await _move_clock(client, moment)
                    await feed.post(batch)
            await _move_clock(client, datetime.now(UTC))
            seconds = bar.seconds
        tally = feed.tally
        stage.say(
            f"{tally.events:,} events in {seconds:.0f} s ({tally.events / seconds:,.0f} a "
            f"second): {tally.outcomes['accepted']:,} accepted 接收, "
            f"{tally.outcomes['duplicate']:,} duplicates 重复 (taken once), "
            f"{tally.quarantined:,} in quarantine 隔离 with a reason"
        )
        reasons = sorted(set(tally.outcomes) - {"accepted", "duplicate"})
        told = ", ".join(f"{reason} {tally.outcomes[reason]}" for reason in reasons)
        stage.say(f"Reasons 隔离原因: {told}")
        if tally.is_as_expected:
            stage.say("Each had the outcome that it was made for 结果与预期一致.", "green")
            return
        table = plain_table("Outcome 结果", "expected 预期", "got 实际")
        for outcome in sorted(tally.expected | tally.outcomes):
            counts = (tally.expected[outcome], tally.outcomes[outcome])
            table.add_row(outcome, *(f"{count:,}" for count in counts))
        stage.say("Not every event had the outcome that it was made for 结果与预期不符:", "red")
        stage.show(table)

    async def _run_night(self, client: httpx.AsyncClient) -> None:
        self._stage.step("The night: judge, add up, publish 夜间任务")
        answer = await _ask(client, "POST", "/v1/jobs/nightly/runs", json={})
        for night in answer["items"]:
            if night["state"] != "done":
                raise DemoError(f"The night of {night['store_id']} failed: {night['error']}")
        for store_id in self._stores:
            query = {"store_id": store_id, "limit": "200"}
            nights = (await _ask(client, "GET", "/v1/jobs/nightly/runs", params=query))["items"]
            done: Counter[str] = sum((Counter(night["detail"]) for night in nights), Counter())
            self._stage.say(
                f"{store_id}: run now 夜间任务完成, after {len(nights) - 1} nights on the way. "
                f"So far {done['published']:,} values were published 发布 and "
                f"{done['restated']:,} restated 更正, because a fact came late."
            )

    async def _show_kpis(self, client: httpx.AsyncClient) -> None:
        month = self._calendar.month
        born = self._calendar.start.astimezone(ZONE).date()
        since = f" (from {born:%-d %B})" if born > month else ""
        self._stage.step(f"The KPIs of {month:%B %Y}{since} against their targets 月度指标")
        query = self._month_query()
        families = {
            item["code"]: item["family"]
            for item in (await _ask(client, "GET", "/v1/kpis"))["items"]
        }
        overview = await _ask(client, "GET", f"/v1/stores/{self._store}/kpis", params=query)
        self._stage.show(kpi_table(overview, families, month, self._stage.console.width))
        calls = next(item for item in overview["items"] if item["code"] == "follow_up_rate")
        left_out = calls["values"][0]["not_counted"].get("missed-on-arrival", 0)
        if left_out:
            self._stage.say(
                f"Read the follow-up rates 回访率 with care: {left_out:,} calls of the month were "
                "never made and are not counted. The service heard of these visits when it was "
                "too late to call, so it blames nobody 补录的历史不计入超时."
            )

    def _month_query(self) -> dict[str, str]:
        calendar = self._calendar
        return {"from": str(calendar.month), "to": str(calendar.month_end), "period": "month"}

    async def _show_why(self, client: httpx.AsyncClient) -> str:
        """Open the rate down to one late order; returns its number."""
        self._stage.step("Every number opens: why was this car late? 为什么迟交")
        path = f"/v1/stores/{self._store}/kpis/{_RATE}/explain"
        query = self._month_query() | {"part": "denominator", "limit": "100"}
        late = [
            item
            for item in (await _ask(client, "GET", path, params=query))["items"]
            if item["reason"] == "late"
        ]
        if not late:
            raise DemoError("No car was late, so there is nothing to explain; try more months.")
        number = str(max(late, key=self._worth_telling)["subject"])
        order_path = f"/v1/stores/{self._store}/repair-orders/{number}"
        order = await _ask(client, "GET", order_path)
        timeline = await _ask(client, "GET", f"{order_path}/timeline", params={"limit": "100"})
        stage = self._stage
        work = order["work_type"].replace("_", " ")
        stage.say(
            f"Repair order 工单 {number}: {work}, advisor 服务顾问 {order['advisor']}, "
            f"technician 技师 {order['technician']}"
        )
        for text in order["on_time"]["explanation"].values():
            stage.say(text, "bold")
        deciding = frozenset(order["on_time"]["deciding_events"])
        stage.show(timeline_table(stage, timeline["items"][::-1], deciding))
        stage.say("● decided the verdict 判定依据")
        return number

    def _worth_telling(self, item: Mapping[str, Any]) -> tuple[bool, bool]:
        """Rank stories: best one in which a promise was changed, within a day."""
        days = {datetime.fromisoformat(e["time"]).astimezone(ZONE).date() for e in item["events"]}
        return "repair_order.promise_changed" in {e["type"] for e in item["events"]}, len(
            days
        ) == 1

    async def _show_webhook(self, client: httpx.AsyncClient) -> None:
        stage, receiver = self._stage, self._receiver
        stage.step("A promise breaks: a call falls overdue, a webhook arrives 回访超时提醒")
        body = {"url": receiver.url, "description": "receiver of the demo"}
        endpoint = await _ask(client, "POST", "/v1/webhook-endpoints", json=body)
        receiver.trust(endpoint["secret"])
        calls = await self._open_calls(client)
        if not calls:
            stage.say("No call is open just now, so none can fall overdue.")
            return
        call = calls[0]
        stage.say(
            f"The first call 首次回访 after repair order {call['ro_number']} is open 待回访, "
            f"to be made by {stage.minute(call['due_at'])}."
        )
        due_at = datetime.fromisoformat(call["due_at"])
        now = await _move_clock(client, due_at + timedelta(seconds=30))
        stage.say(f"Nobody calls. The clock is moved on 时钟拨快: it is {stage.minute(now)} now.")
        arrived = await _wait(receiver, "follow_up.overdue", call["follow_up_id"])
        if not arrived:
            raise DemoError("The webhook did not arrive within a minute.")
        self._show_received(arrived)
        path = f"/v1/stores/{self._store}/follow-ups/{call['follow_up_id']}/completion"
        done = {"by": _CALLER, "channel": "phone", "outcome": "reached"}
        await _ask(client, "POST", path, json=done)
        stage.say(f"{_CALLER} calls the customer after all 补打回访电话.")
        resolved = await _wait(receiver, "follow_up.resolved", call["follow_up_id"])
        if not resolved:
            raise DemoError("The webhook of the end did not arrive within a minute.")
        self._show_received(resolved[-1:])

    async def _open_calls(self, client: httpx.AsyncClient) -> Sequence[Mapping[str, Any]]:
        """List the first calls that may be made now, the first due first."""
        path = f"/v1/stores/{self._store}/follow-ups"
        query = {"status": "open", "kind": "first", "limit": "1"}
        found: list[Mapping[str, Any]] = (await _ask(client, "GET", path, params=query))["items"]
        return found

    def _show_received(self, arrived: Sequence[Received]) -> None:
        received = arrived[-1]
        event = received.event
        others = f" (and {len(arrived) - 1} more of the same day)" if len(arrived) > 1 else ""
        self._stage.say(
            f"Webhook 回调 arrived at {self._receiver.url}, signature right 签名正确{others}:",
            "green",
        )
        self._stage.say(
            f"  {event['type']}, webhook-id {received.webhook_id}, "
            f"{said(self._stage, event['data'])}"
        )

    def _say_where_to_look(self, url: str, order: str) -> None:
        console = self._stage.console
        store = f"{url}/v1/stores/{self._store}"
        curl = f'curl -s -H "Authorization: Bearer {self._keys.visitor}"'
        period = urlencode(self._month_query())
        lines = (
            "",
            f"Look around 接下来: {url}/docs (Authorize 授权 with this key)",
            f"  {self._keys.visitor}",
            "",
            f"{curl} '{store}/kpis/{_RATE}?{period}&by=advisor'",
            f"{curl} '{store}/kpis/{_RATE}/explain?{period}&part=denominator'",
            f"{curl} '{store}/repair-orders/{order}'",
            f"{curl} '{store}/follow-ups?status=overdue'",
            f"{curl} '{url}/v1/quarantine?store={self._store}'",
        )
        for line in lines:
            console.print(line, soft_wrap=True)


def _stay(stage: Stage, process: subprocess.Popen[bytes], log: Path) -> None:
    stage.console.print(
        "\nThe service stays up until Ctrl-C; everything stops then 按 Ctrl-C 结束."
    )
    if process.wait() != 0:
        raise DemoError(f"The service ended by itself; its log is {log}.")


def _trouble(error: BaseException, log: Path) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    said = str(error) or type(error).__name__
    if isinstance(error, httpx.HTTPStatusError):
        said += f"\n{error.response.text}"
    return f"The service did not answer as it should: {said}\nIts log is {log}."


async def _prepare(database_url: str, calendar: Calendar) -> Keys:
    """Issue the keys, and set the service's clock back to when the shop joins."""
    settings = Settings(database_url=SecretStr(database_url))
    async with open_factory(settings) as factory:
        visitor = await factory.access.issue(name="demo", scopes=ALL_SCOPES, stores=None)
        scopes = frozenset({Scope.EVENTS_WRITE})
        shop = await factory.access.issue(name="demo shop systems", scopes=scopes, stores=None)
        clock = SandboxRepository(factory.database.read)
        now = datetime.now(UTC)
        await clock.take("demo", machine_now=now)
        await clock.set_offset(calendar.joins - now, "demo", machine_now=now)
        await clock.release("demo")
    return Keys(visitor.token, shop.token)


async def _move_clock(client: httpx.AsyncClient, moment: datetime) -> str:
    """Move the service's time on; tells where it stands."""
    path = "/v1/sandbox/clock"
    response = await client.put(path, json={"now": moment.isoformat()})
    if response.status_code == httpx.codes.UNPROCESSABLE_ENTITY:  # it is later than that already
        response = await client.get(path)
    response.raise_for_status()
    return str(response.json()["now"])


def _client(url: str, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url,
        headers={"authorization": f"Bearer {key}"},
        timeout=TIMEOUT_SECONDS,
        trust_env=False,  # a proxy of the environment is not for this machine's own address
    )


async def _ask(client: httpx.AsyncClient, method: str, path: str, **sent: Any) -> Any:
    response = await client.request(method, path, **sent)
    response.raise_for_status()
    return response.json()


async def _wait(receiver: Receiver, event_type: str, subject: str) -> list[Received]:
    return await asyncio.to_thread(receiver.wait_for, event_type, subject, WEBHOOK_SECONDS)
