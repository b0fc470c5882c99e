"""Keeps a greenhouse warm: one reading each period, one decision, one status page."""

import json
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from . import VERSION
from .control import decide
from .sensor import read_celsius

CONFIG = Path("/etc/greenhouse/greenhouse.toml")


class State:
    """What the status page shows."""

    def __init__(self):
        self.lock = threading.Lock()
        self.page = {"version": VERSION, "celsius": None, "heater": False}


def control(state, config, stop):
    while not stop.is_set():
        celsius = read_celsius(config["sensor"])
        with state.lock:
            state.page["celsius"] = celsius
            state.page["heater"] = decide(celsius, state.page["heater"], config)
        stop.wait(config["period_s"])


def handler(state):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            with state.lock:
                body = json.dumps(state.page).encode()
            healthy = self.path != "/health" or state.page["celsius"] is not None
            self.send_response(200 if healthy else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


def main():
    config = tomllib.loads(CONFIG.read_text())
    state, stop = State(), threading.Event()
    threading.Thread(target=control, args=(state, config, stop), daemon=True).start()
    ThreadingHTTPServer(("127.0.0.1", config["port"]), handler(state)).serve_forever()


if __name__ == "__main__":
    main()
