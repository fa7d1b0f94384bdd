"""The ground floor: the only place that knows processes, devices and number precision."""
