"""Where tables live: declared, versioned, read as of an instant, published as plain Parquet."""

from riskcast.lake.base import Lake
from riskcast.lake.delta import DeltaLake, open_lake
from riskcast.lake.memory import MemoryLake

__all__ = ["DeltaLake", "Lake", "MemoryLake", "open_lake"]
