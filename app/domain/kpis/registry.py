"""Every KPI that comes from the log, by its code."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from app.domain.kpis import (
    complaints,
    delivery,
    follow_up,
    parts,
    productivity,
    quality,
    volume,
)
from app.domain.kpis.kpi import Kpi

_ALL: Final[tuple[Kpi, ...]] = (
    *delivery.KPIS,
    *quality.KPIS,
    *volume.KPIS,
    *productivity.KPIS,
    *parts.KPIS,
    *follow_up.KPIS,
    *complaints.KPIS,
)

KPIS: Final[Mapping[str, Kpi]] = MappingProxyType({kpi.code: kpi for kpi in _ALL})
"""In the order of design/kpis.md."""
