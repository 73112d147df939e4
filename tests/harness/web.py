"""Ports of this machine, and web servers of a test's own."""

import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server(ThreadingHTTPServer):
    """Answers on a free port until it is closed, or its block ends."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: type["Handler"]):
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, address) -> None:
        """A client that went away, or was killed, is none of our failures."""
        if not isinstance(sys.exc_info()[1], (ConnectionResetError, BrokenPipeError)):
            super().handle_error(request, address)

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def __exit__(self, *_) -> None:
        self.close()


class Handler(BaseHTTPRequestHandler):
    """Keeps its connection and no log."""

    protocol_version = "HTTP/1.1"
    # Headers and body go out as two writes; without this each answer waits for the reader's acknowledgement.
    disable_nagle_algorithm = True

    def log_message(self, *_) -> None:
        pass

    def answer(self, body=b"", status: int = 200, headers=(), kind: str = "application/json") -> None:
        """Bytes as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        has_body = status not in (204, 304)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if has_body:
            self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if has_body and self.command != "HEAD":
            self.wfile.write(data)

    def hang_up(self) -> None:
        """Nothing more is said on this connection."""
        self.close_connection = True
