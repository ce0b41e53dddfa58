"""The port of ``/metrics`` and ``/ready``: what it answers, and whom it does not wait for."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.daemon import metrics, numbers
from posthouse.letter import Event

HOST = "127.0.0.1"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    numbers.write(tmp_path, 0, {}, {})
    server = metrics.serve(HOST, 0, metrics.Reader(tmp_path, 1))
    yield server.server_port
    server.shutdown()
    server.server_close()


def asked(port: int, method: str, path: str) -> tuple[int, bytes, http.client.HTTPResponse]:
    client = http.client.HTTPConnection(HOST, port, timeout=10)
    client.request(method, path)
    answer = client.getresponse()
    return answer.status, answer.read(), answer


@pytest.mark.parametrize(
    ("method", "path", "status", "begin"),
    [
        ("GET", "/ready", 200, b"ready\n"),
        ("GET", "/metrics", 200, b"# HELP posthouse_"),
        ("GET", "/ready?now", 200, b"ready\n"),
        ("GET", "/../ready", 404, b"/metrics"),
        ("POST", "/ready", 405, b"GET"),
        ("DELETE", "/metrics", 405, b"GET"),
        ("BREW", "/pot", 405, b"GET"),
    ],
)
def test_methods_and_paths(port: int, method: str, path: str, status: int, begin: bytes) -> None:
    found, body, answer = asked(port, method, path)
    assert found == status
    assert body.startswith(begin)
    assert answer.headers["Server"] == "posthouse"
    assert (answer.headers["Allow"] == "GET, HEAD") == (status == 405)


def test_who_asks_with_too_long_a_header_hears_no_version_of_python(port: int) -> None:
    with socket.create_connection((HOST, port), 10) as sock:
        sock.sendall(b"GET /ready HTTP/1.0\r\n" + b"X-A: b\r\n" * 101 + b"\r\n")
        answer = b""
        while part := sock.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.0 431 ")
    assert b"\r\nServer: posthouse\r\n" in answer
    assert b"Python" not in answer


def test_head_has_the_header_alone(port: int) -> None:
    with socket.create_connection((HOST, port), 10) as sock:
        sock.sendall(b"HEAD /ready HTTP/1.0\r\n\r\n")
        answer = b""
        while part := sock.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b"\r\nContent-Length: 6\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("octet", [b"", b"G"], ids=["silent", "an octet now and then"])
def test_who_never_ends_his_question_stops_nobody(
    port: int, octet: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "PATIENCE", 0.3)
    over = threading.Event()

    def drip() -> None:
        while not over.wait(0.05):
            try:
                slow.sendall(octet)
            except OSError:
                return

    with socket.create_connection((HOST, port), 10) as slow:
        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            time.sleep(0.1)  # it is the one that is heard now
            assert asked(port, "GET", "/ready")[0] == 200
        finally:
            over.set()
            dripping.join()


def test_silent_ones_before_a_watcher_cost_him_no_time_of_theirs(port: int) -> None:
    """Each had 2 s, one after the other: ten of them, and the relay looked dead."""
    silent = [socket.create_connection((HOST, port), 10) for _ in range(metrics.AT_ONCE - 1)]
    try:
        client = http.client.HTTPConnection(HOST, port, timeout=metrics.PATIENCE)
        client.request("GET", "/ready")
        assert client.getresponse().status == 200
    finally:
        for sock in silent:
            sock.close()


def test_turns_are_given_back(port: int) -> None:
    for _ in range(3 * metrics.AT_ONCE):
        assert asked(port, "GET", "/ready")[0] == 200


def test_what_is_said_is_counted_by_its_reason() -> None:
    counts = metrics.Counts()
    counts.said("rejected", {"reason": "size", "code": 552})
    counts.said("login", {"result": "wrong"})
    counts.said("passed_over", {"cause": "tls.certificate", "hop": "x"})
    counts.said("ready", {})
    assert counts.values == {
        ("refusals", "size"): 1,
        ("logins", "wrong"): 1,
        ("failures", "tls.certificate"): 1,
    }


def test_what_is_wrong_is_said(tmp_path: Path, port: int) -> None:
    lane = str(tmp_path / "queue" / "lane-0.sqlite")
    numbers.write(tmp_path, 0, {}, {("stopped", ""): 1}, {lane: "No such file or directory"})
    status, body, _ = asked(port, "GET", "/ready")
    assert status == 503
    assert body.decode().splitlines() == [
        "not ready",
        "worker 0 can record nothing, delivery stands still",
        f"{lane}: No such file or directory",
    ]
    assert b"posthouse_ready 0.0" in asked(port, "GET", "/metrics")[1]


def test_no_counter_goes_back_where_a_worker_is_replaced(tmp_path: Path) -> None:
    """Neither its own nor what a part of it counts; what there was at a moment is forgotten."""
    for sent, commits in ((3, 7), (2, 4)):
        counts = metrics.Counts(numbers.known(tmp_path, 0, metrics.COUNTERS))
        for number in range(sent):
            counts.event(Event(0.0, "delivered", str(number)))
        for so_far in range(commits + 1):
            counts.since_start("commits", "", so_far)
        numbers.write(tmp_path, 0, counts.values, {("sessions", ""): 5})
    known = numbers.known(tmp_path, 0, metrics.COUNTERS)
    assert known == {("events", "delivered"): 5, ("commits", ""): 11}


@pytest.mark.parametrize("said", ["", "{}", "[]", '{"rows": [["events"]]}', '{"rows": 7}'])
def test_a_file_that_says_nothing_begins_anew(tmp_path: Path, said: str) -> None:
    numbers.write(tmp_path, 0, {}, {})
    (tmp_path / "metrics" / "worker-0.json").write_text(said)
    assert numbers.known(tmp_path, 0, metrics.COUNTERS) == {}
