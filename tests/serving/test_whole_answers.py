"""An answer leaves the server by one send, so that a kill never cuts one in half."""

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from fastapi import FastAPI
from serving_world import until

from riskcast.serving.whole import WholeAnswers

REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(params=[WholeAnswers, "httptools"])
def served(request) -> Iterator[tuple[int, object]]:
    app = FastAPI()

    @app.post("/")
    async def answer() -> dict[str, str]:
        return {"long": "x" * 1000}

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, http=request.param, loop="uvloop", log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        until(lambda: server.started)
        yield listener.getsockname()[1], request.param
        server.should_exit = True
        thread.join(20)


def test_head_and_body_arrive_together(served):
    port, protocol = served
    halves = 0
    with socket.create_connection(("127.0.0.1", port)) as client:
        for _ in range(300):
            client.sendall(REQUEST)
            received = client.recv(65536)
            while not received.endswith(b'"}'):
                halves += 1
                received += client.recv(65536)
    # uvicorn's own protocol is the planted fault: the test must see it.
    assert halves == 0 if protocol is WholeAnswers else halves > 0


def test_answers_without_a_body_and_closed_connections_arrive(served):
    port, _ = served
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("HEAD", "/")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (405, b"")
    connection.request("POST", "/", b"{}", {"Connection": "close"})
    assert len(connection.getresponse().read()) > 1000
