"""A process that runs commands one after the other, for test_cli.py: a start takes seconds.

It reads the commands as JSON from standard input, `[{"words": [...], "variables": {...}}]`, and
prints what came of each.
"""

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from app.cli import main


def run(words: list[str], variables: dict[str, str]) -> dict[str, Any]:
    os.environ.update(variables)
    sys.argv = ["servicelane", *words]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    code: int | str | None = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    for name in variables:
        del os.environ[name]
    texts = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        texts.append(stream.read())
    return {"code": code or 0, "out": texts[0], "err": texts[1]}


if __name__ == "__main__":
    results = [run(**command) for command in json.load(sys.stdin)]
    json.dump(results, sys.stdout)
