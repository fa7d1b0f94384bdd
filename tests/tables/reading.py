"""Tables as they lie in a folder, for tests that look at what a command left."""

from fusion.storage.parts import PartStore
from fusion.tables import IndicatorTable


def read_rows(path, keys):
    """Return all rows of the store at `path`."""
    return PartStore.open(path, keys).read()


def read_table(path, space=None):
    """Return the wide indicator table at `path`."""
    return IndicatorTable.open(path, space).values()
