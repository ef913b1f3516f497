"""A store's folder of the inbox on disk: what lies there, and every move of a file.

All of this blocks, on a share perhaps for long: it is called in threads. No move ever overwrites a
file: a name is reserved first, with an empty file that none but its maker may replace.

Layout of a store's folder::

    <name>                   put there by the shop
    mapping.yaml             how to read its sheets, if the known mappings don't fit
    working/<import>/<name>  being imported
    done/<date>/<name>       taken in
    faults/<name>            returned, with the faults marked; <name>.txt says what to do
    faults/originals/<date>/<name>  as it was put in
"""

import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from app.domain.imports import (
    DONE,
    FAULTS,
    MAPPING_FILE,
    MARKER,
    OWN_FOLDERS,
    WORKING,
    is_left_alone,
    names_for,
)

ORIGINALS: Final = "originals"
_NEVER_TAKEN: Final = (
    "This is no file, but a folder or a link, and is left where it is. Put the files themselves "
    "into the store's folder.\n"
    "这是文件夹或快捷链接，不会被读取。请把文件直接放入门店文件夹。"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it lies in a folder.

    Attributes:
        modified_ns: Its time of change, by the clock of the share.
        is_marked: Whether its sender says that it is complete.
    """

    path: Path
    size: int
    modified_ns: int
    is_marked: bool = False

    @property
    def look(self) -> tuple[int, int]:
        """What changes while somebody writes it."""
        return self.size, self.modified_ns


def list_folders(inbox: Path) -> list[Path]:
    """List the stores' folders, by name.

    Raises:
        OSError: The inbox can't be read: it does not exist, or its share is away.
    """
    with os.scandir(inbox) as entries:
        names = [
            entry.name
            for entry in entries
            if entry.is_dir(follow_symlinks=False)
            and entry.name not in OWN_FOLDERS
            and not entry.name.startswith((".", "~", "$"))
        ]
    return [inbox / name for name in sorted(names)]


def list_files(folder: Path) -> list[Seen]:
    """List the files that were put into a folder and may be whole, the oldest first.

    Raises:
        OSError: The folder can't be read.
    """
    markers: set[str] = set()
    found: list[tuple[str, os.stat_result]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.lower().endswith(MARKER):
                markers.add(entry.name[: -len(MARKER)])
            elif not is_left_alone(entry.name):
                with suppress(FileNotFoundError):  # another process has just taken it
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
    seen = [
        Seen(folder / name, state.st_size, state.st_mtime_ns, is_marked=name in markers)
        for name, state in found
        if stat.S_ISREG(state.st_mode)
    ]
    return sorted(seen, key=lambda file: (file.modified_ns, file.path.name))


def tell_of_others(folder: Path) -> list[str]:
    """Put a word into `faults/` about what lies in a folder and is never taken: folders, links.

    It is said once, and again when what it is about has changed.

    Returns:
        Of what it was said now.
    """
    told: list[str] = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name in OWN_FOLDERS or is_left_alone(entry.name):
                continue
            with suppress(FileNotFoundError):
                state = entry.stat(follow_symlinks=False)
                note = folder / FAULTS / f"{entry.name}.txt"
                if stat.S_ISREG(state.st_mode) or (
                    note.exists() and note.stat().st_mtime_ns >= state.st_mtime_ns
                ):
                    continue
                note.parent.mkdir(exist_ok=True)
                text = f"{entry.name}\n\n{_NEVER_TAKEN}\n"
                note.write_text(text, encoding="utf-8-sig", newline="\r\n")
                told.append(entry.name)
    return told


def list_working(folder: Path) -> list[str]:
    """List the ids of the imports whose files lie in `working/`."""
    try:
        with os.scandir(folder / WORKING) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def look_at(path: Path) -> Seen:
    """See how a file is now."""
    state = path.stat()
    return Seen(path, state.st_size, state.st_mtime_ns)


def find_mapping(folder: Path) -> Path | None:
    """Find the mapping that a store's people have put beside their files."""
    path = folder / MAPPING_FILE
    return path if path.is_file() else None


def find_taken(folder: Path, import_id: str) -> Path | None:
    """Find the file of an import in `working/`."""
    try:
        with os.scandir(folder / WORKING / import_id) as entries:
            names = sorted(entry.name for entry in entries)
    except FileNotFoundError:
        return None
    return folder / WORKING / import_id / names[0] if names else None


def take(file: Seen, import_id: str) -> Path | None:
    """Move a file into `working/`: of several processes one succeeds.

    A file that a process that died had moved there is found again, and goes first.

    Returns:
        Where it lies now; None if it is gone, or has changed since it was seen.
    """
    folder = file.path.parent
    if left := find_taken(folder, import_id):
        return left
    place = folder / WORKING / import_id
    place.mkdir(parents=True, exist_ok=True)
    target = place / file.path.name
    try:
        _remove_marker(file.path)
        file.path.rename(target)
    except FileNotFoundError:
        remove_working(folder, import_id)
        return None
    except OSError:
        remove_working(folder, import_id)
        raise
    if look_at(target).look != file.look:
        put_back(folder, import_id)
        return None
    return target


def _remove_marker(path: Path) -> None:
    """Take away what says that a file is whole: it would speak for the next one of that name."""
    with suppress(FileNotFoundError):
        path.with_name(path.name + MARKER).unlink()


def put_back(folder: Path, import_id: str) -> Path | None:
    """Move a file out of `working/` to where it was put, to be taken again."""
    taken = find_taken(folder, import_id)
    moved = None if taken is None else move_aside(taken, folder)
    remove_working(folder, import_id)
    return moved


def remove_working(folder: Path, import_id: str) -> None:
    """Remove the place of an import in `working/`, if it is empty."""
    with suppress(OSError):
        (folder / WORKING / import_id).rmdir()


def move_to_done(taken: Path, folder: Path, day: date) -> Path:
    """Move a file that was taken in to where people find it by date."""
    return move_aside(taken, folder / DONE / day.isoformat())


def keep_original(taken: Path, folder: Path, day: date) -> Path:
    """Keep a file as it was put in, where a marked copy of it is returned."""
    return move_aside(taken, folder / FAULTS / ORIGINALS / day.isoformat())


def move_to_faults(path: Path, folder: Path) -> Path:
    """Return a file as it is."""
    _remove_marker(path)
    return move_aside(path, folder / FAULTS)


def move_aside(path: Path, folder: Path, *, name: str | None = None) -> Path:
    """Move a file into a folder, under another name if its own is taken there.

    Raises:
        FileNotFoundError: It is gone: another process was quicker.
    """
    path.stat()
    target = reserve(folder, name or path.name)
    try:
        path.replace(target)
    except OSError:
        with suppress(FileNotFoundError):
            target.unlink()
        raise
    return target


def reserve(folder: Path, name: str, *, suffix: str = "") -> Path:
    """Make an empty file under a free name, which nobody else gets."""
    folder.mkdir(parents=True, exist_ok=True)
    for candidate in names_for(name, suffix=suffix):
        with suppress(FileExistsError):
            os.close(os.open(folder / candidate, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o664))
            return folder / candidate
    message = "there is no end of names"
    raise AssertionError(message)


def say_beside(path: Path, text: str) -> Path:
    """Write a text beside a returned file, for people; Windows reads it as UTF-8 by its mark."""
    note = reserve(path.parent, path.name + ".txt")
    note.write_text(text, encoding="utf-8-sig", newline="\r\n")
    return note


def sha256_of(path: Path) -> str:
    """Tell a file's content by its hash, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
