"""The settings of PostgreSQL for the embedded server, by the memory of the machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil

_MIB: Final = 1024 * 1024


def configuration(socket_dir: Path, options: Mapping[str, str], *, cluster_name: str) -> str:
    """Settings for a machine that does other things too; ALTER SYSTEM goes before them."""
    memory = _memory_bytes() // _MIB
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": '"' + str(socket_dir).replace('"', '""') + '"',
        "unix_socket_permissions": "0700",
        "max_connections": "60",
        "shared_buffers": f"{min(max(memory // 8, 64), 1024)}MB",
        "effective_cache_size": f"{max(memory // 3, 128)}MB",
        "maintenance_work_mem": f"{min(max(memory // 32, 32), 256)}MB",
        "work_mem": "16MB",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "15min",
        "wal_compression": "on",
        "random_page_cost": "1.1",
        "jit": "off",
        "cluster_name": cluster_name,
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        "log_line_prefix": "%m [%p] ",
        **options,
    }
    quoted = {name: value.replace("'", "''") for name, value in settings.items()}
    return "".join(f"{name} = '{value}'\n" for name, value in quoted.items())


def _memory_bytes() -> int:
    """The machine's memory, or less where a container is given less."""
    machine = psutil.virtual_memory().total
    try:
        return min(machine, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no container, or `max`
        return machine
