"""Record the examples anew: `python -m tests.contract.record`, then read the diff."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

from app.db import embedded, migrations
from tests.contract.stage import FOLDER, Example, open_stage, rendered
from tests.contract.story import story


async def tell(database_url: str) -> dict[str, dict[str, Any]]:
    """Play the whole story on an empty, migrated database; gives each exchange by its name."""
    told: dict[str, dict[str, Any]] = {}
    async with open_stage(database_url) as stage:
        for part in story():
            if isinstance(part, Example):
                assert part.name not in told, f"{part.name} is told twice"
                told[part.name] = await stage.play(part)
            else:
                await part(stage)
    return told


async def record(database_url: str) -> None:
    """Write the file of each example; those of examples that are no more go away."""
    await migrations.upgrade(database_url)
    told = await tell(database_url)
    for path in FOLDER.glob("*.json"):
        if path.stem not in told:
            path.unlink()
    for name, exchange in told.items():
        (FOLDER / f"{name}.json").write_text(rendered(exchange), encoding="utf-8")
    print(f"{len(told)} examples in {FOLDER}")


def main() -> None:
    """Record on an embedded database that is thrown away."""
    folder = Path(tempfile.mkdtemp(prefix="servicelane-examples-"))
    folder.chmod(0o711)  # as root, the server runs as another user
    try:
        with embedded.start(folder) as server:
            asyncio.run(record(server.url()))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
