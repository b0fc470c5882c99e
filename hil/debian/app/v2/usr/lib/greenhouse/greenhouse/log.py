"""Readings of the last day, kept over restarts."""

import json
from collections import deque
from pathlib import Path


class Log:
    """A bounded list of readings in one file, written as a whole."""

    def __init__(self, path, limit):
        self.path = Path(path)
        self.readings = deque(maxlen=limit)
        if self.path.exists():
            self.readings.extend(json.loads(self.path.read_text()))

    def add(self, celsius):
        self.readings.append(celsius)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(list(self.readings)))
        new.replace(self.path)
