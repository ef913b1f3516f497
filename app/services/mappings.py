"""Mappings of sources: those shipped with the service, those stored here, and which one fits."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Final

import structlog

from app.db.mappings import MappingRepository
from app.domain.access import Principal
from app.domain.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from app.domain.events.value_maps import SourceValues
from app.domain.mapping.loading import read_mapping
from app.domain.mapping.source_mapping import SourceMapping
from app.domain.mapping.stored import StoredMapping
from app.domain.pages import Page, PageRequest, page_of
from app.services.sheet_reading import Sheet
from app.services.time_source import TimeSource

_log = structlog.get_logger(__name__)

KEEP_SECONDS: Final = 5.0
"""How long this process may work without a mapping that another process stored."""

FITS_FROM: Final = 0.5
"""Share of columns, its own or the file's, from which a mapping is taken for a file."""


@cache
def shipped_mappings() -> dict[str, SourceMapping]:
    """Return the mappings that come with the service, by name of their file."""
    return {name: read_mapping(text) for name, text in sorted(shipped_texts().items())}


@cache
def shipped_texts() -> dict[str, str]:
    """Return the YAML of the mappings that come with the service, by name of their file."""
    return {
        resource.name.removesuffix(".yaml"): resource.read_text("utf-8")
        for resource in files("app").joinpath("mappings").iterdir()
        if resource.name.endswith(".yaml")
    }


def best_fit(
    mappings: Iterable[SourceMapping], columns: Sequence[str]
) -> tuple[SourceMapping, float] | None:
    """Return the mapping that fits a file best, and how well (`share_of`); None if none does.

    Of several that fit as well, the one that reads most columns is taken.
    """
    shares = [(mapping.share_of(columns), len(mapping.columns), mapping) for mapping in mappings]
    share, _, mapping = max(shares, key=lambda found: found[:2], default=(0.0, 0, None))
    return None if mapping is None or share < FITS_FROM else (mapping, share)


def also_fits(mapping: SourceMapping, sheet: Sheet) -> list[str]:
    """Name the other tables of a file that the mapping would read as it reads this one.

    Whoever puts a month into each sheet means all of them; a sheet of notes or sums is no table
    that the mapping fits.
    """
    least = min(FITS_FROM, mapping.share_of(sheet.columns))
    return [
        name
        for name, columns in sheet.others().items()
        if not mapping.missing(columns) and mapping.share_of(columns) >= least
    ]


class MappingDirectory:
    """The stored mappings as this process knows them.

    Attributes:
        value_maps: By source; the same dictionary for ever, brought up to date by `refresh`.
    """

    def __init__(self, repository: MappingRepository) -> None:
        self._repository = repository
        self._mappings: dict[str, SourceMapping] = {}
        self._held: set[tuple[str, int]] = set()
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()
        self.value_maps: dict[str, SourceValues] = {}

    async def refresh(self) -> None:
        """Take in what was stored elsewhere, unless that was looked up a moment ago."""
        if self._is_fresh():
            return
        async with self._looking:  # nobody goes on with the maps of before, least of all with none
            if not self._is_fresh():
                await self._look()
                self._looked_at = time.monotonic()

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._looked_at < KEEP_SECONDS

    async def _look(self) -> None:
        for stored in await self._repository.list_newest(held=self._held):
            try:
                mapping = read_mapping(stored.body)
            except InvalidInputError as error:
                # a newer version of the service may have stored what this one can't read
                _log.error("mapping_unreadable", source=stored.source, reason=str(error))
                self._held.add((stored.source, stored.version))
            else:
                self.keep(mapping)

    def keep(self, mapping: SourceMapping) -> None:
        """Take note of a mapping as it is now."""
        source = mapping.source
        self._held = {held for held in self._held if held[0] != source}
        self._held.add((source, mapping.version))
        self._mappings[source] = mapping
        values = mapping.source_values
        if values is None:
            self.value_maps.pop(source, None)
        else:
            self.value_maps[source] = values

    async def known(self) -> list[SourceMapping]:
        """Return every mapping there is: stored ones, then shipped ones nobody has replaced."""
        await self.refresh()
        shipped = shipped_mappings().values()
        return [
            *self._mappings.values(),
            *(mapping for mapping in shipped if mapping.source not in self._mappings),
        ]

    async def find(self, name: str) -> SourceMapping | None:
        """Find a mapping by its source, or a shipped one by the name of its file."""
        for mapping in await self.known():
            if name in {mapping.source, mapping.source.lstrip("/")}:
                return mapping
        return shipped_mappings().get(name)


@dataclass(frozen=True, slots=True)
class MappingVersions:
    """A mapping with its history.

    Attributes:
        shown: The version that was asked for.
        versions: All there are, the newest first; that one counts.
    """

    shown: StoredMapping
    versions: Sequence[StoredMapping]


class MappingService:
    """What callers do with stored mappings."""

    def __init__(
        self, repository: MappingRepository, directory: MappingDirectory, time_source: TimeSource
    ) -> None:
        self._repository = repository
        self._directory = directory
        self._time_source = time_source

    async def put(
        self, text: str, *, principal: Principal, source: str | None = None
    ) -> tuple[StoredMapping, bool]:
        """Store a version of a mapping; harmless to repeat.

        Args:
            text: Its YAML.
            principal: Who stores it; one that is bound to stores may do so for one of them.
            source: What the mapping must be for, with or without its first slash; None: anything.

        Returns:
            The version as it is stored, and whether it is new.

        Raises:
            InvalidInputError: The mapping has faults, or is of another source.
            ForbiddenError: The caller may not change what concerns other stores.
            ConflictError: The version is there with another content, or a newer one is.
        """
        mapping = read_mapping(text)
        if source is not None and mapping.source not in {source, f"/{source}"}:
            detail = f"The mapping is for {mapping.source}, the address names {source}."
            raise InvalidInputError.at("/source", "other-source", detail)
        versions = await self._repository.list_versions(mapping.source)
        for store in {mapping.model.store, *(versions[0].store for _ in versions[:1])}:
            if principal.stores is not None and (store is None or not principal.may(store)):
                raise ForbiddenError(
                    "A key that is bound to stores may store a mapping only with one of them as "
                    "`store`, and not in the place of one for others."
                )
        now = await self._time_source.now()
        new = _stored(mapping, text, now)
        if versions and versions[0].version > new.version:
            newest = versions[0].version
            message = f"Version {newest} is stored already. Give this one a higher number."
            if not any(_same(stored, mapping) for stored in versions):
                raise ConflictError(message)
        is_new = await self._repository.add(new)
        versions = await self._repository.list_versions(mapping.source)
        stored = next(one for one in versions if one.version == mapping.version)
        if not is_new and not _same(stored, mapping):
            raise ConflictError(
                f"Version {mapping.version} of {mapping.source} is stored with another content. "
                f"A version never changes: give yours the number {versions[0].version + 1}."
            )
        if stored is versions[0]:
            self._directory.keep(mapping)
        return stored, is_new

    async def get(
        self, source: str, *, principal: Principal, version: int | None = None
    ) -> MappingVersions:
        """Get the newest version of a source's mapping, or another one.

        Args:
            source: With or without its first slash.
            principal: Who asks; what is for other stores is not there for a caller bound to some.
            version: None: the newest.

        Raises:
            NotFoundError: There is no such mapping.
        """
        for name in (source, f"/{source}"):
            versions = await self._repository.list_versions(name)
            for shown in versions:
                if version in {None, shown.version} and _sees(principal, shown):
                    return MappingVersions(shown, versions)
        what = source if version is None else f"{source} in version {version}"
        message = f"No mapping of {what} is stored."
        raise NotFoundError(message)

    async def list_page(self, page: PageRequest, *, principal: Principal) -> Page[StoredMapping]:
        """List the newest version of each mapping, by source."""
        key = page.key(str)
        found = await self._repository.list_page(
            after=None if key is None else str(key[0]),
            limit=page.limit + 1,
            among=None if principal.stores is None else sorted(principal.stores),
        )
        return page_of(found, page.limit, lambda mapping: (mapping.source,))


def _sees(principal: Principal, mapping: StoredMapping) -> bool:
    return mapping.store is None or principal.may(mapping.store)


def _stored(mapping: SourceMapping, text: str, now: datetime) -> StoredMapping:
    model = mapping.model
    return StoredMapping(model.source, model.version, model.store, model.title, text, now)


def _same(stored: StoredMapping, mapping: SourceMapping) -> bool:
    """Whether a stored text says the same; comments and order don't matter."""
    if stored.version != mapping.version:
        return False
    try:
        return read_mapping(stored.body).model == mapping.model
    except InvalidInputError:
        return False
