"""The temperature sensor: a 1-wire file of the kernel, in thousandths of a degree."""

from pathlib import Path


def read_celsius(path):
    """The reading, or None if the sensor is missing or says nonsense."""
    try:
        celsius = int(Path(path).read_text()) / 1000
    except (OSError, ValueError):
        return None
    return celsius if -40 <= celsius <= 85 else None
