"""The account that runs the embedded server, and what is done as that account."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ACCOUNT: Final = "servicelane"


class EmbeddedServerError(Exception):
    """The embedded server could not be started; the text says why and what to do."""


class ServerAccount:
    """Whoever runs the server: runs its programs and touches its files, always as that account."""

    def __init__(self, folder: Path, account: pwd.struct_passwd | None) -> None:
        """Work in a folder, as an account; None: that of this process."""
        self._folder = folder
        self._account = account

    @property
    def name(self) -> str:
        """Who it is."""
        return user_name(os.geteuid()) if self._account is None else self._account.pw_name

    def run(self, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program as the server's account, in an environment that says nothing."""
        account = self._account
        with tempfile.TemporaryFile() as output:  # a pipe would be held open by the server
            done = subprocess.run(  # noqa: S603  programs and paths are our own
                command,
                check=False,
                input=given.encode(),
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env=_environment(),
                umask=0o077,
                start_new_session=True,  # Ctrl-C is for us, who then clean up
                user=None if account is None else account.pw_uid,
                group=None if account is None else account.pw_gid,
                extra_groups=None if account is None else [],
            )
            output.seek(0)
            said = output.read().decode(errors="replace")
        return subprocess.CompletedProcess(command, done.returncode, stdout=said)

    def checked(self, *command: str, given: str = "") -> None:
        """Run a program that must succeed.

        Raises:
            EmbeddedServerError: It didn't; the text has what it said.
        """
        done = self.run(*command, given=given)
        if done.returncode != 0:
            raise EmbeddedServerError(
                f"{Path(command[0]).name} failed in {self._folder}: {done.stdout.strip()}"
            )

    def read(self, path: Path) -> str | None:
        """The text of a file; None if there is none."""
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None

    def write(self, path: Path, content: str) -> None:
        """Write a file anew, so that it is the account's.

        Raises:
            EmbeddedServerError: It can't be written.
        """
        self.checked("sh", "-c", 'cat > "$1"', "sh", str(path), given=content)


def user_name(uid: int) -> str:
    """The name of a user, for people."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user with number {uid}"


def server_account(home: Path, owner: int) -> pwd.struct_passwd:
    """Whom root lets run the server, which PostgreSQL refuses to do as root.

    It is the owner of the data, or of the folder that root was pointed to, else a system account
    without a shell, made here if it isn't there.

    Raises:
        EmbeddedServerError: There is none, and none can be made.
    """
    cluster = home / "postgres"
    uid = cluster.lstat().st_uid if cluster.exists() else owner
    try:
        if uid != 0:
            return pwd.getpwuid(uid)
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        pass
    if uid == 0:
        made = _make_account()
        if made is not None:
            return made
    raise EmbeddedServerError(
        f"PostgreSQL refuses to run as root, and the account to run it as is missing. Make one "
        f"(useradd --system {ACCOUNT}), run Servicelane as another user, or set "
        "SERVICELANE_DATABASE_URL."
    )


def _make_account() -> pwd.struct_passwd | None:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        return None
    command: Sequence[str] = (
        useradd,
        "--system",
        "--user-group",
        "--no-create-home",
        "--home-dir=/nonexistent",
        "--shell=/usr/sbin/nologin",
        ACCOUNT,
    )
    subprocess.run(command, check=False, capture_output=True)  # noqa: S603  fixed words
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        return None


def _environment() -> dict[str, str]:
    """Nothing of the caller's locale, nor of its PGHOST and the like."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **kept}
