"""How rows of a sheet, records and coded values of one source become facts. 字段映射."""
