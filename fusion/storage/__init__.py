"""The ground floor: the only place that opens, lists and replaces files."""
