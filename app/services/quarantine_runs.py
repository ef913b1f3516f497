"""Runs over the quarantine: everything that a filter matches is replayed or discarded.

A run is a row that one process claims. It handles a few hundred items at a time and notes how far
it is after each part; what a process that dies has done shows in the items, so whoever takes the
run over goes on without doing anything twice.
"""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

import structlog
from uuid6 import uuid7

from app.db.quarantine import QuarantineRepository
from app.db.quarantine_runs import QuarantineRunRepository
from app.domain.access import Principal
from app.domain.errors import ConflictError, Fault, InvalidInputError, NotFoundError
from app.domain.events.envelope import Reason
from app.domain.json_patch import check_patch
from app.domain.pages import Page, PageRequest, page_of
from app.domain.quarantine import (
    NO_STORE,
    SERVICE,
    Actor,
    QuarantinedItem,
    QuarantineFilter,
    QuarantineState,
)
from app.domain.quarantine_runs import QuarantineRun, QuarantineRunState, RunAction, RunKind
from app.services.database_failures import is_answer_lost
from app.services.earlier import Earlier
from app.services.quarantine import Correcting, narrowed
from app.services.replays import Attempt, ReplayService
from app.services.suggestions import SuggestionService
from app.services.time_source import TimeSource

PART: Final = 500
"""Items that are handled in one go."""

LEASE: Final = timedelta(minutes=1)
"""How long a run is left to a process that gives no sign of life."""

RETRY_AFTER: Final = timedelta(minutes=10)
"""How long after a failure the items of a store that was made are replayed again."""

_YIELD_EVERY: Final = 20
"""Items after which others get their turn: to correct one takes a millisecond."""

logger = structlog.get_logger(__name__)


class QuarantineRunService:
    """Asks for runs, does them, and shows how far they are."""

    def __init__(
        self,
        runs: QuarantineRunRepository,
        *,
        repository: QuarantineRepository,
        replays: ReplayService,
        suggestions: SuggestionService,
        time_source: TimeSource,
    ) -> None:
        self._runs = runs
        self._repository = repository
        self._replays = replays
        self._suggestions = suggestions
        self._time_source = time_source

    # Asking

    async def start(
        self,
        kind: RunKind,
        wanted: QuarantineFilter,
        action: RunAction,
        *,
        min_age: timedelta | None = None,
        dry_run: bool = False,
        principal: Principal,
    ) -> QuarantineRun:
        """Queue a run over everything that waits and matches now; returns at once.

        Raises:
            InvalidInputError: The patch is malformed; or a discarding names no criterion.
        """
        if kind is RunKind.DISCARD and wanted == QuarantineFilter() and min_age is None:
            detail = "Name at least one criterion: all that waits is never discarded at once."
            raise InvalidInputError.at("/filter", "empty", detail)
        try:
            check_patch(action.patch or ())
        except InvalidInputError as error:
            raise InvalidInputError(
                [Fault(f"/patch{at.pointer}", at.code, at.detail) for at in error.faults]
            ) from None
        now = await self._time_source.now()
        wanted = dataclasses.replace(wanted, state=QuarantineState.WAITING)
        run = await self._runs.add(
            run_id=str(uuid7()),
            kind=kind,
            stores=principal.stores,
            wanted=narrowed(wanted, principal, now=now, min_age=min_age),
            action=action,
            dry_run=dry_run,
            by=Actor.of(principal),
            now=now,
        )
        if run is None:
            message = "a run that waits for no store is always added"
            raise RuntimeError(message)
        return run

    async def get(self, run_id: str, kind: RunKind, *, principal: Principal) -> QuarantineRun:
        """Get a run with how far it is.

        Raises:
            NotFoundError: There is none of that kind, or none that the caller may see.
        """
        run = await self._runs.find(run_id)
        if run is None or run.kind is not kind or not run.is_visible_to(principal.stores):
            raise NotFoundError(f"There is no {kind} {run_id} of the quarantine.")
        return run

    async def list_page(self, page: PageRequest, *, principal: Principal) -> Page[QuarantineRun]:
        """List runs, the latest first."""
        key = page.key(str)
        found = await self._runs.list_page(
            stores=principal.stores,
            before=None if key is None else str(key[0]),
            limit=page.limit + 1,
        )
        return page_of(found, page.limit, lambda run: (run.run_id,))

    async def cancel(self, run_id: str, kind: RunKind, *, principal: Principal) -> QuarantineRun:
        """Stop a run; what it did stays. The part that is under way is still finished.

        Raises:
            ConflictError: It is at its end.
            NotFoundError: There is none that the caller may see.
        """
        run = await self.get(run_id, kind, principal=principal)
        cancelled = await self._runs.cancel(run.run_id, now=await self._time_source.now())
        if cancelled is None:
            run = await self.get(run_id, kind, principal=principal)
            raise ConflictError(f"The {kind} {run_id} is {run.state}.", state=run.state)
        return cancelled

    # Doing

    async def tick(self) -> list[QuarantineRun]:
        """Queue runs for stores that items wait for and that were made meanwhile; do all runs.

        Returns:
            What came of the runs of this process.
        """
        await self._start_for_made_stores()
        return await self.do_runs()

    async def do_runs(self) -> list[QuarantineRun]:
        """Do every run that nobody has claimed; harmless to repeat, in other processes too.

        Returns:
            What came of the runs of this process.
        """
        done: list[QuarantineRun] = []
        while True:
            now = await self._time_source.now()
            run = await self._runs.claim(claimed_by=str(uuid4()), now=now, lease_until=now + LEASE)
            if run is None:
                return done
            done.append(await self._do(run, resumed=run.started_at != now))

    async def _start_for_made_stores(self) -> None:
        now = await self._time_source.now()
        for store_id in await self._runs.list_awaited_stores(failed_since=now - RETRY_AFTER):
            await self._runs.add(
                run_id=str(uuid7()),
                kind=RunKind.REPLAY,
                stores=None,
                wanted=QuarantineFilter(
                    stores=[NO_STORE], state=QuarantineState.WAITING, awaits_store=store_id
                ),
                action=RunAction(),
                dry_run=False,
                by=SERVICE,
                now=now,
            )

    async def _do(self, run: QuarantineRun, *, resumed: bool) -> QuarantineRun:
        """See a claimed run through.

        Args:
            run: As it was claimed.
            resumed: Whether another claim had it before.
        """
        try:
            run = await self._counted(run)
            with Earlier() as earlier:
                while run.state is QuarantineRunState.RUNNING:
                    items = await self._repository.list_page(
                        run.filter,
                        after=run.position or None,
                        until=run.until_id,
                        not_of_run=None if run.dry_run else run.run_id,
                        limit=PART,
                    )
                    if not items:
                        if resumed and not run.dry_run:
                            # whoever had it before may have had a part in hand until just now
                            await self._save(await self._counted(run), lease=LEASE)
                        return await self._finish(run, QuarantineRunState.FINISHED)
                    handled = await self._handle(run, items, earlier)
                    if handled is None:
                        return await self._runs.find(run.run_id) or run
                    run = handled
        except asyncio.CancelledError:
            # the process stops: another one, or the next start, goes on at once
            await asyncio.shield(self._save(run, lease=timedelta()))
            raise
        except Exception as error:
            if is_answer_lost(error):
                raise
            logger.exception("a run over the quarantine failed", run_id=run.run_id)
            return await self._finish(
                run, QuarantineRunState.FAILED, error=f"{type(error).__name__}: {error}"
            )
        return run

    async def _counted(self, run: QuarantineRun) -> QuarantineRun:
        """Count what was done under this run so far; a rehearsal begins anew."""
        if run.dry_run:
            return dataclasses.replace(run, accepted=0, discarded=0, waiting={}, position="")
        accepted, discarded, waiting = await self._runs.recount(run.run_id)
        return dataclasses.replace(run, accepted=accepted, discarded=discarded, waiting=waiting)

    async def _handle(
        self, run: QuarantineRun, items: Sequence[QuarantinedItem], earlier: Earlier
    ) -> QuarantineRun | None:
        """Do one part of a run, and note how far it is; None if another claim has it by now."""
        if run.kind is RunKind.DISCARD:
            outcomes = await self._discard(run, items)
        else:
            outcomes = await self._replay(run, items, earlier)
        done = outcomes.pop(None, 0)
        is_replay = run.kind is RunKind.REPLAY
        run = dataclasses.replace(
            run,
            accepted=run.accepted + (done if is_replay else 0),
            discarded=run.discarded + (0 if is_replay else done),
            waiting={
                reason: run.waiting.get(reason, 0) + outcomes[reason]
                for reason in Reason
                if reason in run.waiting or reason in outcomes
            },
            position=items[-1].quarantine_id,
        )
        return await self._save(run, lease=LEASE)

    async def _save(self, run: QuarantineRun, *, lease: timedelta) -> QuarantineRun | None:
        """Note how far a run is; None if another process took it over, which has the say."""
        now = await self._time_source.now()
        return await self._runs.save(run, lease_until=now + lease)

    async def _finish(
        self, run: QuarantineRun, state: QuarantineRunState, *, error: str | None = None
    ) -> QuarantineRun:
        now = await self._time_source.now()
        finished = await self._runs.finish(run, state, now=now, error=error)
        return finished or await self._runs.find(run.run_id) or run

    async def _discard(
        self, run: QuarantineRun, items: Sequence[QuarantinedItem]
    ) -> Counter[Reason | None]:
        """Discard items; a rehearsal only counts them. None stands for what is done."""
        now = await self._time_source.now()
        if run.dry_run:
            return Counter({None: len(items)})
        by_store: dict[str, list[str]] = {}
        for item in items:
            by_store.setdefault(item.home, []).append(item.quarantine_id)
        done = 0
        for store_id, ids in by_store.items():
            done += await self._repository.discard(
                store_id,
                ids,
                reason=run.action.reason or "",
                by=run.requested_by,
                now=now,
                run_id=run.run_id,
            )
        return Counter({None: done})

    async def _replay(
        self, run: QuarantineRun, items: Sequence[QuarantinedItem], earlier: Earlier
    ) -> Counter[Reason | None]:
        """Replay items, each as the run says; counts by the reason for which they wait on."""
        now = await self._time_source.now()
        attempts, left = [], []
        for number, item in enumerate(items):
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            attempt = await self._attempt(run, item, now)
            if attempt is None:
                left.append(item)
            else:
                attempts.append(attempt)
        outcomes: Counter[Reason | None] = Counter(item.reason for item in left)
        if run.dry_run:
            rehearsed = await self._replays.rehearse(attempts, stores=run.stores, earlier=earlier)
            return outcomes + Counter(each.waits for each in rehearsed.values())
        await self._leave(run, left, now)
        try:
            outcomes.update(await self._send(run, attempts))
        except Exception as error:
            if is_answer_lost(error) or len(attempts) == 1:
                raise
            logger.info("a part of a run failed and is done item by item", exc_info=True)
            for attempt in attempts:
                outcomes.update(await self._send_alone(run, attempt, now))
        return outcomes

    async def _send(self, run: QuarantineRun, attempts: Sequence[Attempt]) -> list[Reason | None]:
        replayed = await self._replays.replay(
            attempts, by=run.requested_by, stores=run.stores, run_id=run.run_id
        )
        return [each.waits for each in replayed.values()]

    async def _send_alone(
        self, run: QuarantineRun, attempt: Attempt, now: datetime
    ) -> list[Reason | None]:
        """Replay one item of a part that failed; what can't be is left, and told in the log."""
        item = await self._repository.find(attempt.item.quarantine_id)
        if item is None or item.state is not QuarantineState.WAITING:
            return [] if item is None or item.state is QuarantineState.DISCARDED else [None]
        # it may lie with its store by now, and its correction be on record
        correction = None if _was_corrected_in(run, item) else attempt.correction
        try:
            return await self._send(run, [Attempt(item, correction)])
        except Exception as error:
            if is_answer_lost(error):
                raise
            logger.exception("an item could not be replayed", quarantine_id=item.quarantine_id)
            await self._leave(run, [item], now)
            return [item.reason]

    async def _attempt(
        self, run: QuarantineRun, item: QuarantinedItem, now: datetime
    ) -> Attempt | None:
        """Make of an item what the run says; None if that can't be done with it."""
        action = run.action
        if not action.corrects or _was_corrected_in(run, item):
            return Attempt(item)
        made = Correcting(now, run.requested_by, run.run_id)
        try:
            if action.patch is not None:
                return Attempt(item, made.by_patch(item, action.patch))
            suggestion = await self._suggestions.repair(item, action.suggestions, among=run.stores)
            if suggestion is None:
                return None
            return Attempt(item, made.by_suggestion(item, suggestion))
        except InvalidInputError:
            return None
        except Exception as error:
            if is_answer_lost(error):
                raise
            # one item that nothing can be made of must not end the run over all the others
            logger.exception("an item could not be corrected", quarantine_id=item.quarantine_id)
            return None

    async def _leave(
        self, run: QuarantineRun, items: Sequence[QuarantinedItem], now: datetime
    ) -> None:
        """Note that items were looked at in this run and stay as they are."""
        if items:
            await self._repository.leave(
                [(item.home, item.quarantine_id) for item in items], now=now, run_id=run.run_id
            )


def _was_corrected_in(run: QuarantineRun, item: QuarantinedItem) -> bool:
    """Whether the run was interrupted after it had corrected the item."""
    return bool(item.corrections) and item.corrections[-1].run_id == run.run_id
