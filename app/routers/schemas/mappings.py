"""Bodies of the mapping routes."""

from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, Field

from app.domain.mapping.stored import StoredMapping
from app.services.mappings import MappingVersions


class MappingOut(BaseModel):
    """A version of a mapping."""

    source: Annotated[str, Field(description="`source` of the events that it is for 来源")]
    version: Annotated[int, Field(description="The highest of a source counts 版本")]
    store: Annotated[
        str | None, Field(description="The only store that it is for; null: all 门店")
    ]
    title: Annotated[str, Field(description="For people 名称")]
    created_at: Annotated[datetime, Field(description="When it was stored 保存时间")]

    @classmethod
    def of(cls, mapping: StoredMapping) -> Self:
        """Show a version."""
        return cls(
            source=mapping.source,
            version=mapping.version,
            store=mapping.store,
            title=mapping.title,
            created_at=mapping.created_at,
        )


class WholeMappingOut(MappingOut):
    """A version of a mapping with its text."""

    yaml: Annotated[str, Field(description="As it was sent 映射内容")]
    versions: Annotated[list[int], Field(description="All there are, the newest first 全部版本")]

    @classmethod
    def of_versions(cls, found: MappingVersions) -> Self:
        """Show a version among its others."""
        head = MappingOut.of(found.shown)
        versions = [one.version for one in found.versions]
        return cls(**head.model_dump(), yaml=found.shown.body, versions=versions)


_EXAMPLE: Final = """\
source: /dms/mp01
version: 1
emits:
  - type: repair_order.snapshot
    subject: 工单号
    time: file
    fields:
      advisor: {column: 服务顾问, required: true}
      opened_at: {column: 进厂时间, required: true}
      waiter: {column: 是否等候, values: {是: true, 否: false}}
"""

MAPPING_REQUEST: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "A mapping as docs/mapping.md describes it, in YAML or in JSON.",
        "content": {
            "application/yaml": {"schema": {"type": "string"}, "example": _EXAMPLE},
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["source", "version"],
                    "properties": {
                        "source": {"type": "string"},
                        "version": {"type": "integer", "minimum": 1},
                    },
                }
            },
        },
    }
}
"""What `PUT /v1/mappings/{source}` takes, as the OpenAPI document shows it."""
