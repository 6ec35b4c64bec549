"""What we know: every table, declared once. Standard library only."""

from riskcast.core.errors import DeclarationError
from riskcast.tables import bronze, gold, output, silver
from riskcast.tables.spec import Column, Kind, Layer, Read, Table, Write

TABLES: dict[str, Table] = {
    table.name: table
    for module in (bronze, silver, gold, output)
    for table in vars(module).values()
    if isinstance(table, Table)
}


def table(name: str) -> Table:
    """Return the table of that name.

    Raises
    ------
    DeclarationError
        If no table has the name; the message lists those that exist.
    """
    try:
        return TABLES[name]
    except KeyError:
        raise DeclarationError(f"no table {name!r}; there are {', '.join(TABLES)}") from None


__all__ = ["TABLES", "Column", "Kind", "Layer", "Read", "Table", "Write", "table"]
