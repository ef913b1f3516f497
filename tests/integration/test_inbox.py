"""The inbox: files in folders go in once, whatever happens on the way."""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import orjson
import pytest

from app.db.engine import Pool
from app.db.imports import ImportRepository
from app.domain.imports import FileImport, ImportState
from app.domain.pages import PageRequest
from app.factory import Factory
from app.services import inbox_folder
from app.services.inbox import LEASE, MOST_ATTEMPTS, MOST_CLAIMS, InboxService
from app.services.time_source import MovableTimeSource
from tests.support.facts import opened
from tests.support.inbox import lines, tree, watch
from tests.support.logs import check_store
from tests.support.posting import add_store

TODAY = datetime.now(UTC)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "S1"
    folder.mkdir()
    return folder


async def records(inbox: InboxService, store_id: str = "S1") -> list[FileImport]:
    return list((await inbox.list_page(store_id, PageRequest(), state=None)).items)


async def test_a_file_goes_in_and_lies_in_done(factory: Factory, pool: Pool, shop: Path) -> None:
    inbox = watch(factory, shop.parent)
    (shop / "orders 订单.ndjson").write_bytes(lines(opened(f"R{n}") for n in range(3)))
    assert await inbox.tick() == 1
    assert await inbox.tick() == 0
    (record,) = await records(inbox)
    assert record.state is ImportState.DONE
    assert record.summary is not None
    assert (record.summary.counts.rows, record.summary.counts.accepted) == (3, 3)
    assert tree(shop) == [record.moved_to]
    assert record.moved_to is not None
    assert record.moved_to.startswith("done/")
    assert record.moved_to.endswith("/orders 订单.ndjson")
    assert len(await check_store(pool)) == 3


async def test_what_could_not_be_taken_comes_back_with_line_pointer_and_reason(
    factory: Factory, shop: Path
) -> None:
    inbox = watch(factory, shop.parent)
    bad = opened("R2", odometer_km=-5)
    (shop / "a.ndjson").write_bytes(lines([opened("R1"), bad]) + b"no json\n")
    assert await inbox.tick() == 1
    (record,) = await records(inbox)
    assert record.state is ImportState.FAULTS
    assert record.moved_to == "faults/a.faults.ndjson"
    first, second = map(orjson.loads, (shop / record.moved_to).read_bytes().splitlines())
    assert (first["line"], first["pointer"], first["reason"]) == (
        2,
        "/data/odometer_km",
        "invalid-data",
    )
    assert second["line"] == 3
    assert all(fault["quarantine_id"] for fault in (first, second))
    assert any(name.endswith("/a.ndjson") for name in tree(shop / "faults" / "originals"))


async def test_a_file_is_left_alone_until_it_has_settled_or_is_marked(
    factory: Factory, shop: Path
) -> None:
    clock = [100.0]
    inbox = watch(factory, shop.parent, settle_seconds=10, monotonic=lambda: clock[0])
    growing = shop / "a.ndjson"
    growing.write_bytes(lines([opened("R1")]))
    for name in (".hidden", "b.ndjson.part", "~$c.xlsx", "d.tmp", "e.crdownload"):
        (shop / name).write_bytes(lines([opened("R9")]))
    assert await inbox.tick() == 0
    clock[0] += 9
    with growing.open("ab") as file:
        file.write(lines([opened("R2")]))
    assert await inbox.tick() == 0, "it has just grown"
    clock[0] += 9
    assert await inbox.tick() == 0, "it has not rested for long enough"
    clock[0] += 2
    assert await inbox.tick() == 1
    (shop / "m.ndjson").write_bytes(lines([opened("R3")]))
    (shop / "m.ndjson.done").touch()
    assert await inbox.tick() == 1, "its sender says that it is complete"
    assert not (shop / "m.ndjson.done").exists(), "it must not speak for the next one"
    assert len(await records(inbox)) == 2
    assert sum("done/" not in name for name in tree(shop)) == 5


async def test_the_same_content_again_under_another_name_is_told_and_harmless(
    factory: Factory, pool: Pool, shop: Path
) -> None:
    inbox = watch(factory, shop.parent)
    content = lines(opened(f"R{n}") for n in range(3))
    for name in ("a.ndjson", "b.ndjson", "a.ndjson"):
        (shop / name).write_bytes(content)
        assert await inbox.tick() == 1
    last, second, first = await records(inbox)
    assert first.same_as is None
    assert second.same_as == first.import_id
    assert last.same_as == second.import_id
    assert second.summary is not None
    assert second.summary.counts.duplicate == 3
    assert len(await check_store(pool)) == 3
    names = {Path(name).name for name in tree(shop)}
    assert names == {"a.ndjson", "b.ndjson", "a (2).ndjson"}


async def test_many_processes_take_each_file_once(
    factory: Factory, pool: Pool, shop: Path
) -> None:
    processes = [watch(factory, shop.parent) for _ in range(4)]
    for number in range(12):
        (shop / f"f{number}.ndjson").write_bytes(lines([opened(f"R{number}")]))
    assert sum(await asyncio.gather(*(inbox.tick() for inbox in processes))) == 12
    found = await records(processes[0])
    assert len(found) == 12
    assert all(item.attempts == 1 and item.state is ImportState.DONE for item in found)
    assert len(tree(shop)) == 12
    assert len(await check_store(pool)) == 12


async def test_the_file_of_a_process_that_died_is_taken_up_when_its_lease_is_over(
    factory: Factory, pool: Pool, shop: Path
) -> None:
    clock = MovableTimeSource(TODAY)
    inbox = watch(factory, shop.parent, machine_time=clock)
    (shop / "a.ndjson").write_bytes(lines(opened(f"R{n}") for n in range(3)))
    dead = watch(factory, shop.parent, machine_time=clock)
    claim = await dead._claim("S1", inbox_folder.list_files(shop)[0])
    assert claim is not None
    (shop / "working" / claim.import_id).mkdir(parents=True)
    (shop / "a.ndjson").rename(shop / "working" / claim.import_id / "a.ndjson")
    assert await inbox.tick() == 0, "the lease holds"
    (shop / "a.ndjson").write_bytes(lines([opened("R7")]))
    assert await inbox.tick() == 0, "another file of that name waits its turn"
    clock.advance(timedelta(minutes=3))
    assert await inbox.tick() == 2
    found = await records(inbox)
    assert [item.state for item in found] == [ImportState.DONE] * 2
    assert found[1].import_id == claim.import_id
    assert found[1].attempts == 2
    assert len(await check_store(pool)) == 4
    assert len(tree(shop)) == 2


async def test_a_file_whose_share_went_away_before_the_last_step_is_moved_when_it_is_back(
    factory: Factory, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unmounted after all of it was in: an empty folder says nothing about the file."""
    time = MovableTimeSource(TODAY)
    inbox = watch(factory, shop.parent, machine_time=time)
    (shop / "a.ndjson").write_bytes(lines([opened("R1"), opened("R2", odometer_km=-5)]))
    away = shop.parent.with_name("away")

    def unmounted(*_: object) -> Path:
        shop.rename(away)
        raise OSError("the share is away")

    with monkeypatch.context() as patched:
        patched.setattr("app.services.inbox.return_with_faults", unmounted)
        await inbox.tick()
    time.set(await time.now() + LEASE * 2)
    assert await inbox.tick() == 0
    (record,) = await records(inbox)
    assert record.state is ImportState.WORKING
    away.rename(shop)
    assert await inbox.tick() == 1
    (record,) = await records(inbox)
    assert (record.state, record.moved_to) == (ImportState.FAULTS, "faults/a.faults.ndjson")
    assert not list((shop / "working").iterdir())


async def test_a_file_that_ends_every_process_is_given_up_in_the_end(
    factory: Factory, pool: Pool, shop: Path
) -> None:
    clock = MovableTimeSource(TODAY)
    inbox = watch(factory, shop.parent, machine_time=clock)
    (shop / "a.ndjson").write_bytes(lines([opened("R1")]))
    claim = await inbox._claim("S1", inbox_folder.list_files(shop)[0])
    assert claim is not None
    (shop / "working" / claim.import_id).mkdir(parents=True)
    (shop / "a.ndjson").rename(shop / "working" / claim.import_id / "a.ndjson")
    await pool.execute("UPDATE file_import SET attempts = $1", MOST_CLAIMS)
    clock.advance(timedelta(minutes=3))
    assert await inbox.tick() == 1
    (record,) = await records(inbox)
    assert record.state is ImportState.FAILED
    assert tree(shop) == ["faults/a.ndjson", "faults/a.ndjson.txt"]


async def test_a_claim_whose_file_was_never_moved_is_forgotten_and_made_anew(
    factory: Factory, pool: Pool, shop: Path
) -> None:
    clock = MovableTimeSource(TODAY)
    inbox = watch(factory, shop.parent, machine_time=clock)
    (shop / "a.ndjson").write_bytes(lines([opened("R1")]))
    assert await inbox._claim("S1", inbox_folder.list_files(shop)[0]) is not None
    clock.advance(timedelta(minutes=3))
    assert await inbox.tick() == 2
    (record,) = await records(inbox)
    assert record.attempts == 1
    assert len(await check_store(pool)) == 1


async def test_a_file_in_working_that_the_database_does_not_know_is_put_back(
    factory: Factory, pool: Pool, shop: Path
) -> None:
    inbox = watch(factory, shop.parent)
    place = shop / "working" / "0199-unknown"
    place.mkdir(parents=True)
    (place / "a.ndjson").write_bytes(lines([opened("R1")]))
    assert await inbox.tick() == 0
    assert tree(shop) == ["a.ndjson"]
    assert await inbox.tick() == 1
    assert len(await check_store(pool)) == 1


async def test_a_file_that_is_still_written_after_it_was_taken_is_read_to_its_end(
    factory: Factory, pool: Pool, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = watch(factory, shop.parent)
    path = shop / "a.ndjson"
    path.write_bytes(lines([opened("R1")]))
    take = factory.ingest.take
    with path.open("ab") as sender:

        async def slow(incoming: object) -> object:
            sender.write(lines([opened("R2")]))
            sender.flush()
            return await take(incoming)  # type: ignore[arg-type]

        monkeypatch.setattr(factory.ingest, "take", slow)
        assert await inbox.tick() == 1
        monkeypatch.undo()
    assert "a.ndjson" in tree(shop), "it lies where it was put"
    assert await inbox.tick() == 1
    assert len(await check_store(pool)) == 2


async def test_folders_that_are_no_stores_return_their_files_with_a_word(
    factory: Factory, tmp_path: Path
) -> None:
    for name in ("S9", "一号店"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text("x\n1\n")
    (tmp_path / "beside.csv").write_text("x\n1\n")
    (tmp_path / "beside.csv.done").touch()
    assert await watch(factory, tmp_path).tick() == 3
    assert (tmp_path / "faults" / "beside.csv").exists()
    assert not (tmp_path / "beside.csv.done").exists(), "it would speak for the next file"
    note = (tmp_path / "faults" / "beside.csv.txt").read_text(encoding="utf-8-sig")
    assert "门店文件夹之外" in note
    for name in ("S9", "一号店"):
        assert tree(tmp_path / name) == ["faults/a.csv", "faults/a.csv.txt"]
        note = (tmp_path / name / "faults" / "a.csv.txt").read_text(encoding="utf-8-sig")
        assert "PUT /v1/stores/" in note
        assert f"没有编号为“{name}”的门店" in note


async def test_folders_and_links_are_left_and_told_of_once(factory: Factory, shop: Path) -> None:
    inbox = watch(factory, shop.parent)
    (shop / "三月").mkdir()
    (shop / "三月" / "a.ndjson").write_bytes(lines([opened("R1")]))
    (shop / "link.ndjson").symlink_to(shop / "三月" / "a.ndjson")
    (shop / ".hidden").mkdir()
    assert await inbox.tick() == 0
    notes = {shop / "faults" / "三月.txt", shop / "faults" / "link.ndjson.txt"}
    assert set((shop / "faults").iterdir()) == notes
    said = (shop / "faults" / "三月.txt").read_text(encoding="utf-8-sig")
    assert "请把文件直接放入门店文件夹" in said
    assert (shop / "三月" / "a.ndjson").exists()
    for note in notes:
        note.write_text("read")
    assert await inbox.tick() == 0
    assert all(note.read_text() == "read" for note in notes), "nothing has changed"
    later = max(note.stat().st_mtime for note in notes) + 60
    os.utime(shop / "三月", (later, later))
    assert await inbox.tick() == 0
    assert (shop / "faults" / "三月.txt").read_text(encoding="utf-8-sig") == said


async def test_an_empty_file_is_returned_with_a_word(factory: Factory, shop: Path) -> None:
    inbox = watch(factory, shop.parent)
    (shop / "a.xlsx").touch()
    assert await inbox.tick() == 1
    (record,) = await records(inbox)
    assert record.state is ImportState.FAILED
    assert tree(shop) == ["faults/a.xlsx", "faults/a.xlsx.txt"]


async def test_odd_names_are_kept_and_never_overwritten(
    factory: Factory, pool: Pool, shop: Path
) -> None:
    inbox = watch(factory, shop.parent)
    names = [
        b"-rf 'a\"b;$(x).ndjson",
        b"line\nbreak.ndjson",
        b"not utf-8 \xff.ndjson",
        "长".encode() * 75 + b".ndjson",
        b"no ending",
        b"..x",
    ]
    for number, name in enumerate(names):
        (shop / os.fsdecode(name)).write_bytes(lines([opened(f"R{number}")]))
    assert await inbox.tick() == 5, "what begins with a dot is hidden"
    assert len(await check_store(pool)) == 5
    done = {os.fsencode(path.name) for path in (shop / "done").rglob("*") if path.is_file()}
    assert done == set(names[:5])


async def test_a_share_that_goes_away_is_told_once_and_goes_on_when_it_is_back(
    factory: Factory, pool: Pool, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inbox = watch(factory, shop.parent)
    away = shop.parent.with_name("away")
    shop.parent.rename(away)
    for _ in range(3):
        assert await inbox.tick() == 0
    away.rename(shop.parent)
    (shop / "a.ndjson").write_bytes(lines([opened("R1")]))
    assert await inbox.tick() == 1
    told = capsys.readouterr().out
    assert told.count("can't be used") == 1
    assert told.count("can be used again") == 1
    assert len(await check_store(pool)) == 1


@pytest.mark.parametrize("place", ["imported", "moved"])
async def test_a_process_that_is_killed_in_the_middle_loses_and_doubles_nothing(
    factory: Factory, pool: Pool, database_url: str, shop: Path, place: str
) -> None:
    (shop / "a.ndjson").write_bytes(lines(opened(f"R{n}") for n in range(3500)))
    worker = Path(__file__).parents[1] / "support" / "inbox_worker.py"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.inbox_worker", database_url, shop.parent, place),
        cwd=worker.parents[2],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    async with asyncio.timeout(120):
        assert (await process.stdout.readline()).decode().strip() == place
    process.kill()
    await process.communicate()
    before = await pool.fetchval("SELECT count(*) FROM event")
    assert before == (2000 if place == "imported" else 3500)
    inbox = watch(factory, shop.parent)
    async with asyncio.timeout(120):
        while not await inbox.tick():
            await asyncio.sleep(0.2)
    (record,) = await records(inbox)
    assert (record.state, record.attempts) == (ImportState.DONE, 2)
    assert record.summary is not None
    assert record.summary.counts.accepted == (1500 if place == "imported" else 3500)
    assert tree(shop) == [record.moved_to]
    assert len(await check_store(pool)) == 3500


async def test_a_file_that_may_not_be_read_is_returned_with_a_word(
    factory: Factory, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = watch(factory, shop.parent)
    (shop / "a.ndjson").write_bytes(lines([opened("R1")]))

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(inbox_folder, "sha256_of", refuse)
    assert await inbox.tick() == 1
    assert tree(shop) == ["faults/a.ndjson", "faults/a.ndjson.txt"]
    note = (shop / "faults" / "a.ndjson.txt").read_text(encoding="utf-8-sig")
    assert "may not read" in note
    assert "权限" in note


async def test_a_file_that_the_service_fails_on_is_given_up_in_the_end(
    factory: Factory, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = watch(factory, shop.parent)
    (shop / "a.ndjson").write_bytes(lines([opened("R1")]))

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(factory.ingest, "take", fail)
    for _ in range(MOST_ATTEMPTS - 1):
        with pytest.raises(RuntimeError, match="a defect"):
            await inbox.tick()
    assert await inbox.tick() == 1
    (record,) = await records(inbox)
    assert (record.state, record.attempts) == (ImportState.FAILED, MOST_ATTEMPTS)
    assert tree(shop) == ["faults/a.ndjson", "faults/a.ndjson.txt"]


async def test_a_file_is_not_given_up_because_the_database_was_away(
    factory: Factory, pool: Pool, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = watch(factory, shop.parent)
    (shop / "a.ndjson").write_bytes(lines([opened("R1")]))

    async def fail(*_: object, **__: object) -> None:
        raise asyncpg.CannotConnectNowError("the database system is starting up")

    with monkeypatch.context() as patched:
        patched.setattr(ImportRepository, "note_content", fail)
        for _ in range(MOST_ATTEMPTS + 1):
            with pytest.raises(asyncpg.CannotConnectNowError):
                await inbox.tick()
    assert await inbox.tick() == 1
    (record,) = await records(inbox)
    assert (record.state, record.attempts) == (ImportState.DONE, MOST_ATTEMPTS + 2)
    assert len(await check_store(pool)) == 1


async def test_a_folder_that_may_not_be_written_is_told_once_and_the_others_go_on(
    factory: Factory,
    pool: Pool,
    shop: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await add_store(factory, "S2")
    other = shop.with_name("S2")
    other.mkdir()
    inbox = watch(factory, shop.parent)
    (shop / "a.ndjson").write_bytes(lines([opened("R1")]))
    (other / "b.ndjson").write_bytes(lines([opened("R2") | {"store": "S2"}]))
    take = inbox_folder.take

    def refuse(file: inbox_folder.Seen, import_id: str) -> Path | None:
        if file.path.parent == shop:
            raise PermissionError(13, "Permission denied", "working")
        return take(file, import_id)

    monkeypatch.setattr(inbox_folder, "take", refuse)
    assert await inbox.tick() == 1
    assert await inbox.tick() == 0
    assert capsys.readouterr().out.count("can't be used") == 1
    assert await pool.fetchval("SELECT count(*) FROM file_import") == 1, "no claim is left"
    monkeypatch.undo()
    assert await inbox.tick() == 1
    assert len(await check_store(pool)) == 1
