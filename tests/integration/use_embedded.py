"""A process that uses the embedded server, run by test_embedded.py: `use_embedded.py FOLDER`.

It prints the server's URL once it may be used, and gives it back when its standard input ends.
"""

import sys
from pathlib import Path

import structlog

from app.db import embedded
from app.db.embedded_account import EmbeddedServerError

if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        with embedded.start(Path(sys.argv[1])) as server:
            print(server.url(), flush=True)
            sys.stdin.read()
    except EmbeddedServerError as error:
        sys.exit(str(error))
