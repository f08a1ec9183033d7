"""A real HTTP server on 127.0.0.1 that can misbehave in every way that downloads have to survive."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request; answers are written with the methods below."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked[path] += 1
        self.server.ranges.append(self.headers.get("Range"))
        answer = self.server.answers.get(path)
        self.close_connection = True
        if answer is None:
            self.begin(404, 0)
        else:
            answer(self)

    def log_message(self, *_: object) -> None:
        pass

    @property
    def offset(self) -> int:
        """First byte asked for."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(match[1]) if match else 0

    @property
    def count(self) -> int:
        """How often this path has been asked for, this time included."""
        return self.server.asked[self.path.partition("?")[0]]

    def begin(self, status: int, length: int | None, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def serve(self, data: bytes, *, stop_after: int | None = None, ignore_range: bool = False) -> None:
        """A well-behaved answer, or one whose connection drops after so many bytes."""
        start = 0 if ignore_range else self.offset
        if start >= len(data) and start:
            self.begin(416, 0, Content_Range=f"bytes */{len(data)}")
            return
        body = data[start:]
        if start:
            self.begin(206, len(body), Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.begin(200, len(body))
        self.wfile.write(body[:stop_after])
        if stop_after is not None and stop_after < len(body):
            self.drop()

    def drop(self) -> None:
        """Cut the connection as a broken line does."""
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


class Server(ThreadingHTTPServer):
    """The server and what it has been asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.answers: dict[str, Answer] = {}
        self.asked: Counter[str] = Counter()
        self.ranges: list[str | None] = []

    def handle_error(self, *_: object) -> None:
        pass  # clients that hang up are part of the tests

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def add(self, path: str, answer: Answer | bytes) -> str:
        self.answers[path] = (lambda request: request.serve(answer)) if isinstance(answer, bytes) else answer
        return self.url(path)


@contextmanager
def running_server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def slowly(data: bytes, seconds: float) -> Answer:
    """An answer that takes its time, so that two clients overlap."""

    def answer(request: Request) -> None:
        request.begin(200, len(data))
        for index in range(0, len(data), max(1, len(data) // 10)):
            request.wfile.write(data[index : index + max(1, len(data) // 10)])
            request.wfile.flush()
            time.sleep(seconds / 10)

    return answer
