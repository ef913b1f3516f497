"""The documents say what is so: their links lead somewhere, their tables are the code's."""

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from app.cli import cli
from app.domain.events.catalog import CATALOG
from app.domain.events.event_type import EventType
from app.domain.events.payload import Part
from app.domain.events.shape import Shape
from app.domain.kpis.kpi import Kpi
from app.domain.kpis.registry import KPIS
from app.domain.policies import DEFAULT_POLICY, SOURCES
from app.domain.webhooks import DELAYS
from app.main import create_app
from app.settings import PREFIX, Settings, describe

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("bench/*.md"),
        *ROOT.glob("clients/*.md"),
    )
)
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
GUIDES = (READMES[0], ROOT / "docs" / "integrate.md")

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")

SPEECHES = {None: "none", True: "yes", False: "no"}


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _blocks(path: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(path.read_text(encoding="utf-8"))


def _table(name: str, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head."""
    section = _text(name).split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# Links


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    for target in LINK.findall(BLOCK.sub("", document.read_text(encoding="utf-8"))):
        parts = urlsplit(target)
        if parts.scheme:
            assert parts.scheme == "https", target
            continue
        found = (document.parent / unquote(parts.path)).resolve() if parts.path else document
        assert found.exists(), f"{document.name} links to {target}"
        assert ROOT in (found, *found.parents), f"{target} leads out of the repository"
        if parts.fragment:
            anchors = map(_anchor, HEADING.findall(found.read_text(encoding="utf-8")))
            assert parts.fragment in anchors, f"{document.name} links to {target}"


def test_every_decision_has_a_number_of_its_own() -> None:
    records = sorted(path.name for path in (ROOT / "docs" / "adr").glob("*.md"))
    numbers = [int(name[:4]) for name in records]
    assert numbers == list(range(1, len(records) + 1))
    for name, number in zip(records, numbers, strict=True):
        assert _text(f"docs/adr/{name}").startswith(f"# {number}. ")


# Tables


def test_the_settings_are_those_of_the_code() -> None:
    rows = [
        [f"`{row.variable}`", _default(row.variable, row.default), row.description]
        for row in describe(Settings(), {})
    ]
    assert _table("docs/configuration.md", "Settings") == rows


def _default(variable: str, default: str) -> str:
    if variable == f"{PREFIX}DATA_DIR":
        return "see below"
    return f"`{default}`" if default else "none"


def test_the_rules_are_those_of_the_code() -> None:
    values = DEFAULT_POLICY.as_dict()
    rows = [[f"`{key}`", _rule(values[key]), SOURCES[key]] for key in values]
    assert _table("docs/configuration.md", "Rules") == rows


def _rule(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(f"`{part}`" for part in value)
    if value is None or isinstance(value, bool):
        return SPEECHES[value]
    return f"`{value}`"


def test_the_kpis_are_those_of_the_registry() -> None:
    assert [row for family in _families() for row in _table("docs/kpis.md", family)] == [
        _kpi_row(kpi) for kpi in KPIS.values()
    ]


def _families() -> list[str]:
    return list(dict.fromkeys(f"{kpi.family.en} {kpi.family.zh}" for kpi in KPIS.values()))


def _kpi_row(kpi: Kpi) -> list[str]:
    sign = {"up": "≥", "down": "≤", None: ""}[kpi.direction]
    return [
        f"`{kpi.code}`",
        f"{kpi.name.en} {kpi.name.zh}",
        f"{kpi.formula.en}<br>{kpi.formula.zh}",
        "" if kpi.target is None else f"{sign} {kpi.target}",
        kpi.unit,
        ", ".join(kpi.grains[1:]),
    ]


def test_the_events_are_those_of_the_catalogue() -> None:
    rows = [
        [f"`{event.name}`", event.description, _fields(event), SPEECHES[event.posted]]
        for event in CATALOG.values()
    ]
    assert _table("docs/events.md", "Types") == rows


def _fields(event: EventType) -> str:
    return ", ".join(_members(event.model, Shape.of(event.model)))


def _members(model: type[Part], shape: Shape) -> Iterator[str]:
    for attribute, field in model.model_fields.items():
        name = field.alias or attribute
        if name in shape.set_here:
            continue  # nobody sends it
        required = field.is_required() or name in shape.required
        marks = "!" * required + " P" * (name in shape.personal)
        yield f"`{name}`{marks}"


def test_the_retry_schedule_is_that_of_the_code() -> None:
    (schedule,) = re.findall(r"Ten tries: (.+?)\.\n", _text("docs/webhooks.md"))
    units = {"s": 1, "min": 60, "h": 3600}
    told = [0, *(int(n) * units[u] for n, u in re.findall(r"(\d+) (s|min|h)\b", schedule))]
    assert told == [int(delay.total_seconds()) for delay in DELAYS]


def test_every_command_and_setting_that_is_named_exists() -> None:
    commands = {command.name or _name_of(command) for command in cli.registered_commands}
    commands |= {str(group.name) for group in cli.registered_groups}
    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for code in (*CODE.findall(text), *(body for _, body in _blocks(document))):
            for command in re.findall(r"(?:^|bin/)servicelane ([a-z]+)", code, re.MULTILINE):
                assert command in commands, f"{document.name}: servicelane {command}"
        for name in re.findall(r"SERVICELANE_[A-Z_]+[A-Z]", text):
            assert name in settings | {"SERVICELANE_TEST_DATABASE_URL"}, document.name


def _name_of(command: Any) -> str:
    return str(command.callback.__name__).replace("_", "-")


def test_every_file_of_the_service_that_is_named_exists() -> None:
    for document in DOCUMENTS:
        for code in CODE.findall(document.read_text(encoding="utf-8")):
            if re.fullmatch(r"(?:app|alembic|tests|bench|docs)/[\w/.-]*", code):
                assert (ROOT / code).exists(), f"{document.name}: {code}"


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", _text("Makefile"), re.MULTILINE))
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for target in re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE):
            assert target in targets, f"{document.name}: make {target}"


def test_every_path_that_is_named_exists() -> None:
    document = create_app(Settings(), ticking=False).openapi()
    paths = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for path, methods in document["paths"].items()
        for method in methods
    }
    documents = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in DOCUMENTS}
    documents["the OpenAPI document"] = json.dumps(document)
    for name, text in documents.items():
        for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/v1[^\s`?]*)", text):
            assert (method, re.sub(r"\{\w+\}", "{}", path)) in paths, f"{name}: {method} {path}"


# The first requests


@dataclass(frozen=True)
class Curl:
    """A curl command of a document, and the answer that the document shows for it."""

    method: str
    url: str
    headers: dict[str, str]
    body: str | None
    answer: Any


def _curls(path: Path) -> Iterator[Curl]:
    blocks = _blocks(path)
    for (language, body), (next_language, next_body) in zip(
        blocks, [*blocks[1:], ("", "")], strict=True
    ):
        if language == "sh" and body.startswith("curl"):
            answer = json.loads(next_body) if next_language == "json" else None
            yield _read_curl(shlex.split(body.replace("\\\n", " ")), answer)


def _read_curl(words: Sequence[str], answer: Any) -> Curl:
    method, url, headers, data = "GET", "", {}, None
    rest = iter(words[1:])
    for word in rest:
        match word:
            case "-sS":
                pass
            case "-X":
                method = next(rest)
            case "-H":
                name, _, value = next(rest).partition(": ")
                headers[name] = value
            case "-d":
                data = next(rest)
            case _:
                assert not word.startswith("-"), f"curl {word} is not known here"
                url = word
    return Curl(method, url, headers, data, answer)


def _is_part_of(told: Any, answer: Any) -> bool:
    """Whether an answer says all that a document tells of it; documents leave out much."""
    if isinstance(told, dict):
        return isinstance(answer, dict) and all(
            name in answer and _is_part_of(part, answer[name]) for name, part in told.items()
        )
    if isinstance(told, list):
        return (
            isinstance(answer, list)
            and len(told) == len(answer)
            and all(map(_is_part_of, told, answer))
        )
    return bool(told == answer)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
async def test_the_requests_of_a_guide_give_what_it_says(guide: Path, database_url: str) -> None:
    settings = Settings(database_url=SecretStr(database_url))
    app = create_app(settings, ticking=False)
    curls = list(_curls(guide))
    assert curls
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client,
    ):
        for curl in curls:
            assert curl.url.startswith(f"http://{settings.host}:{settings.port}/")
            response = await client.request(
                curl.method, curl.url, headers=curl.headers, content=curl.body
            )
            assert response.is_success, f"{curl.method} {curl.url}: {response.text}"
            assert _is_part_of(curl.answer, response.json()) or curl.answer is None, response.text
        for curl in curls:
            if curl.url.endswith("/v1/events"):
                again = await client.request(
                    curl.method, curl.url, headers=curl.headers, content=curl.body
                )
                assert {result["outcome"] for result in again.json()["results"]} == {"duplicate"}


def test_both_readmes_have_the_same_commands_and_sections() -> None:
    english, chinese = READMES
    assert _blocks(english) == _blocks(chinese)
    levels = [
        re.findall(r"^(#+) ", BLOCK.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
        for path in READMES
    ]
    assert levels[0] == levels[1]
    links = [
        {link for link in LINK.findall(path.read_text(encoding="utf-8")) if "README" not in link}
        for path in READMES
    ]
    assert links[0] == links[1]
