"""HTTP against a server on loopback that misbehaves as real ones do."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from taskimage.adapters.crew import Crew
from taskimage.adapters.http import Fetch, Http, network, redacted
from taskimage.adapters.http.trust import Trust, tls
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import (
    BadInput,
    IntegrityError,
    NotAllowed,
    NotFound,
    TaskImageError,
    Unreachable,
)

BODY = bytes(range(256)) * 4000
CANARY = "s3cr3t-canary"


@dataclass
class Say:
    """One answer: a status, a body, headers, and how many bytes of the body are sent before the end."""

    status: int = 200
    body: bytes = BODY
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    stall: bool = False


@dataclass
class Asked:
    """One request."""

    path: str
    headers: dict[str, str]


class Server:
    """Answers each path with what was planned for it, one after another, the last one again and again."""

    def __init__(self) -> None:
        self.plan: dict[str, list[Say]] = {}
        self.asked: list[Asked] = []
        self.over = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.asked.append(
                    Asked(self.path, {name.lower(): value for name, value in self.headers.items()})
                )
                left = owner.plan[self.path]
                say = left.pop(0) if len(left) > 1 else left[0]
                body, status, headers = say.body, say.status, dict(say.headers)
                if status == 200 and (match := re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))):
                    start = int(match[1])
                    status, headers["Content-Range"] = 206, f"bytes {start}-{len(body) - 1}/{len(body)}"
                    body = body[start:]
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body[: say.cut])
                if say.stall:
                    self.wfile.flush()
                    owner.over.wait(30)
                if say.cut is not None:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # Clients that hang up are part of the plan.
        self.httpd.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"
        threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.over.set()
        self.httpd.shutdown()
        self.httpd.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def other() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def http() -> Http:
    return Http({}, pauses=(0.01, 0.01))


def wanted(url: str, body: bytes = BODY, *, size: int | None = len(BODY)) -> Fetch:
    return Fetch((url,), Digest.of(body), size, "a file")


def test_a_body_is_what_the_server_sent(server: Server, http: Http) -> None:
    server.plan = {"/a": [Say()]}
    assert http.get(f"{server.url}/a", limit=len(BODY)) == BODY


def test_files_that_one_server_keeps_back_hold_up_none_of_another(
    server: Server, other: Server, http: Http, store: Store
) -> None:
    bodies = [bytes([number]) * 1000 for number in range(Crew.SIZE)]
    server.plan = {f"/{body[0]}": [Say(body=body, stall=True, cut=1), Say(body=body)] for body in bodies}
    large = [wanted(f"{server.url}/{body[0]}", body, size=len(body)) for body in bodies]
    waiting = threading.Thread(target=lambda: http.fetch(store, large, moved=lambda _: None))
    waiting.start()
    while len(server.asked) < len(bodies):
        time.sleep(0.001)
    other.plan = {"/small": [Say()]}
    fetched = threading.Event()

    def fetch() -> None:
        http.fetch(store, [wanted(f"{other.url}/small")], moved=lambda _: None)
        fetched.set()

    threading.Thread(target=fetch, daemon=True).start()
    try:
        assert fetched.wait(10)
    finally:
        server.over.set()
        waiting.join(20)
    assert all(store.input_path(item.digest).exists() for item in large)


def test_a_body_over_the_limit_is_refused(server: Server, http: Http) -> None:
    server.plan = {"/a": [Say()]}
    with pytest.raises(IntegrityError, match="more than the 1000 bytes"):
        http.get(f"{server.url}/a", limit=1000)


def test_a_bomb_is_refused_at_the_limit(server: Server, http: Http) -> None:
    """The limit counts what comes out of a compressed body, not what goes in."""
    import gzip

    server.plan = {"/a": [Say(body=gzip.compress(bytes(50_000_000)), headers={"Content-Encoding": "gzip"})]}
    with pytest.raises(IntegrityError, match="more than the 1000 bytes"):
        http.get(f"{server.url}/a", limit=1000, headers={"Accept-Encoding": "gzip"})


def test_a_compressed_file_stays_compressed_unless_decoding_is_asked_for(server: Server, http: Http) -> None:
    """Some mirrors label ``.gz`` files as encoded; the digest is of the file as it is."""
    import gzip

    packed = gzip.compress(b"text")
    server.plan = {"/a.gz": [Say(body=packed, headers={"Content-Encoding": "gzip"})]}
    assert http.get(f"{server.url}/a.gz", limit=1000) == packed
    assert http.get(f"{server.url}/a.gz", limit=1000, headers={"Accept-Encoding": "gzip"}) == b"text"


@pytest.mark.parametrize(
    ("status", "error", "requests"),
    [
        (400, Unreachable, 1), (401, NotAllowed, 1), (403, NotAllowed, 1), (404, NotFound, 1), (407, NotAllowed, 1),
        (408, Unreachable, 3), (410, NotFound, 1), (418, Unreachable, 1), (429, Unreachable, 3),
        (500, Unreachable, 3), (502, Unreachable, 3), (503, Unreachable, 3), (504, Unreachable, 3), (799, Unreachable, 1),
    ],
)  # fmt: skip
def test_a_status_is_an_error_of_its_family_and_asked_again_only_when_it_may_pass(
    server: Server, http: Http, status: int, error: type[TaskImageError], requests: int
) -> None:
    server.plan = {"/a": [Say(status, b"no")]}
    with pytest.raises(error, match=rf"127\.0\.0\.1:\d+.*HTTP {status}"):
        http.get(f"{server.url}/a", limit=9)
    assert requests == len(server.asked)


def test_what_fails_in_passing_is_asked_again(server: Server, http: Http) -> None:
    server.plan = {"/a": [Say(503, b""), Say(cut=5000), Say()]}
    assert http.get(f"{server.url}/a", limit=len(BODY)) == BODY


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for(server: Server, http: Http, form: str) -> None:
    from email.utils import formatdate

    after = "1" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)
    server.plan = {"/a": [Say(429, b"", {"Retry-After": after}), Say()]}
    start = time.monotonic()
    assert http.get(f"{server.url}/a", limit=len(BODY)) == BODY
    assert time.monotonic() - start > 0.9


def test_a_retry_after_of_an_hour_is_an_error_at_once(server: Server, http: Http) -> None:
    server.plan = {"/a": [Say(429, b"", {"Retry-After": "3600"})]}
    with pytest.raises(Unreachable, match="429"):
        http.get(f"{server.url}/a", limit=9)
    assert len(server.asked) == 1


def test_a_file_cut_short_goes_on_where_it_stopped(server: Server, http: Http, store: Store) -> None:
    server.plan = {"/a": [Say(cut=600_000), Say()]}
    moved: list[int] = []
    http.fetch(store, [wanted(f"{server.url}/a")], moved=moved.append)
    assert store.input_path(Digest.of(BODY)).read_bytes() == BODY
    first, second = server.asked
    assert "range" not in first.headers
    assert re.fullmatch(r"bytes=[1-9]\d*-", second.headers["range"])
    assert sum(moved) == len(BODY)


def test_a_server_without_ranges_sends_the_file_anew(server: Server, http: Http, store: Store) -> None:
    """Progress goes back by what came in vain."""
    server.plan = {"/a": [Say(cut=600_000), Say(201 - 1, headers={"Accept-Ranges": "none"})]}
    handler = server.httpd.RequestHandlerClass
    moved: list[int] = []
    plain = handler.do_GET  # type: ignore[attr-defined]

    def without_ranges(self: BaseHTTPRequestHandler) -> None:
        del self.headers["Range"]
        plain(self)

    handler.do_GET = without_ranges  # type: ignore[attr-defined]
    http.fetch(store, [wanted(f"{server.url}/a")], moved=moved.append)
    assert store.input_path(Digest.of(BODY)).read_bytes() == BODY
    assert min(moved) < 0
    assert sum(moved) == len(BODY)


@pytest.mark.parametrize("size", [None, len(BODY)])
def test_other_bytes_than_wanted_are_an_integrity_error(
    server: Server, http: Http, store: Store, size: int | None
) -> None:
    server.plan = {"/a": [Say(body=BODY[::-1])]}
    with pytest.raises(IntegrityError, match="wanted"):
        http.fetch(store, [wanted(f"{server.url}/a", size=size)], moved=lambda _: None)
    assert not store.input_path(Digest.of(BODY)).exists()
    assert [path for path in store.home.rglob("*") if path.is_file()] == []


def test_a_file_longer_than_wanted_is_not_read_to_its_end(server: Server, http: Http, store: Store) -> None:
    server.plan = {"/a": [Say(body=BODY + b"x")]}
    with pytest.raises(IntegrityError, match="more than"):
        http.fetch(store, [wanted(f"{server.url}/a")], moved=lambda _: None)


def test_the_next_address_is_tried_when_one_fails(server: Server, http: Http, store: Store) -> None:
    server.plan = {"/gone": [Say(404, b"")], "/bad": [Say(body=b"bad")], "/good": [Say()]}
    urls = tuple(f"{server.url}/{name}" for name in ("gone", "bad", "good"))
    http.fetch(store, [Fetch(urls, Digest.of(BODY), None, "a file")], moved=lambda _: None)
    assert store.input_path(Digest.of(BODY)).exists()


def test_what_is_in_the_store_is_not_asked_for(server: Server, http: Http, store: Store) -> None:
    server.plan = {"/a": [Say()]}
    for _ in range(2):
        http.fetch(store, [wanted(f"{server.url}/a")] * 2, moved=lambda _: None)
    assert len(server.asked) == 1


def test_one_failure_ends_the_others_at_once(server: Server, http: Http, store: Store) -> None:
    """A stalled transfer of a large file does not hide that a small one cannot be had."""
    server.plan = {"/slow": [Say(cut=1000, stall=True)], "/gone": [Say(404, b"")]}
    slow = wanted(f"{server.url}/slow")
    gone = Fetch((f"{server.url}/gone",), Digest.of(b"x"), 1, "x")
    start = time.monotonic()
    with pytest.raises(NotFound, match="/gone"):
        http.fetch(store, [slow, gone], moved=lambda _: None)
    assert time.monotonic() - start < 3
    assert [path for path in store.home.rglob("*") if path.is_file()] == []


def test_an_interrupt_ends_a_stalled_transfer(server: Server, http: Http, store: Store) -> None:
    import _thread

    server.plan = {"/slow": [Say(cut=1000, stall=True)]}
    timer = threading.Timer(0.2, _thread.interrupt_main)
    start = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        http.fetch(store, [wanted(f"{server.url}/slow")], moved=lambda _: None)
    assert time.monotonic() - start < 3
    assert [path for path in store.home.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("where", ["header", "address", "netrc"])
def test_credentials_do_not_cross_a_redirect_to_another_host(
    server: Server, other: Server, tmp_path: Path, where: str
) -> None:
    server.plan = {"/a": [Say(302, b"", {"Location": f"{other.url}/b"})]}
    other.plan = {"/b": [Say()]}
    url, headers, environ = f"{server.url}/a", {}, {}
    if where == "header":
        headers = network.basic("me", CANARY)
    elif where == "address":
        url = url.replace("://", f"://me:{CANARY}@")
    else:
        # netrc knows hosts and no ports, so the other server goes by its other name.
        environ = {"NETRC": str(tmp_path / "netrc")}
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {CANARY}\n")
        server.plan["/a"][0].headers = {"Location": f"{other.url}/b".replace("127.0.0.1", "localhost")}
    assert Http(environ).get(url, limit=len(BODY), headers=headers) == BODY
    assert server.asked[0].headers["authorization"] == network.basic("me", CANARY)["Authorization"]
    assert "authorization" not in other.asked[0].headers


def test_credentials_stay_on_a_redirect_within_the_host(server: Server, http: Http) -> None:
    server.plan = {"/a": [Say(307, b"", {"Location": "b"})], "/b": [Say()]}
    http.get(f"{server.url}/a", limit=len(BODY), headers=network.basic("me", CANARY))
    assert "authorization" in server.asked[1].headers


@pytest.mark.parametrize("there", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_a_redirect_to_another_scheme_is_not_followed(server: Server, http: Http, there: str) -> None:
    server.plan = {"/a": [Say(302, b"", {"Location": there})]}
    with pytest.raises(Unreachable, match="not followed"):
        http.get(f"{server.url}/a", limit=9)


def test_redirects_in_a_circle_end(server: Server, http: Http) -> None:
    server.plan = {"/a": [Say(302, b"", {"Location": "/a"})]}
    with pytest.raises(Unreachable, match="redirects more than"):
        http.get(f"{server.url}/a", limit=9)


def test_errors_show_no_credentials(server: Server, http: Http, store: Store) -> None:
    server.plan = {"/a?token=" + CANARY: [Say(500, b"")]}
    url = f"{server.url}/a?token={CANARY}".replace("://", f"://me:{CANARY}@")
    for act in (
        lambda: http.get(url, limit=9),
        lambda: http.fetch(store, [wanted(url)], moved=lambda _: None),
    ):
        with pytest.raises(Unreachable) as caught:
            act()
        assert CANARY not in str(caught.value)
    assert redacted(url) == f"{server.url}/a"


def refused() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/x"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (refused, r"127\.0\.0\.1:\d+ refused the connection"),
        (lambda: "http://no-such-host.invalid/x", r"the name no-such-host\.invalid is not known here"),
    ],
)
def test_no_connection_says_which_host_and_why(http: Http, url: Callable[[], str], says: str) -> None:
    with pytest.raises(Unreachable, match=says) as caught:
        http.get(url(), limit=9)
    assert caught.value.hint


def test_a_server_of_this_machine_that_was_not_started_is_not_waited_for() -> None:
    begun = time.monotonic()
    with pytest.raises(Unreachable, match="refused"):
        Http({}, pauses=(0.0, 30.0)).get(refused(), limit=9)
    assert time.monotonic() - begun < 15


def test_plain_http_where_tls_was_wanted_says_so(server: Server, http: Http) -> None:
    with pytest.raises(Unreachable, match="no TLS connection"):
        http.get(server.url.replace("http:", "https:"), limit=9)


def test_offline_nobody_is_asked(server: Server, store: Store) -> None:
    server.plan = {"/a": [Say()]}
    http = Http({}, offline=True)
    for act in (
        lambda: http.get(f"{server.url}/a", limit=9),
        lambda: http.fetch(store, [wanted(f"{server.url}/a")], moved=lambda _: None),
    ):
        with pytest.raises(Unreachable, match="offline"):
            act()
    assert server.asked == []


def test_an_address_of_another_kind_is_bad_input(http: Http) -> None:
    with pytest.raises(BadInput, match="wanted http"):
        http.get("ftp://example.invalid/x", limit=9)


def test_the_size_of_a_file_is_asked_without_reading_it(server: Server, http: Http) -> None:
    server.plan = {"/a": [Say()], "/b": [Say(404, b"")]}
    assert http.size(f"{server.url}/a") == len(BODY)
    with pytest.raises(NotFound):
        http.size(f"{server.url}/b")


def test_a_proxy_is_asked_with_its_own_credentials(server: Server) -> None:
    server.plan = {"http://index.invalid/a": [Say()]}
    http = Http({"http_proxy": server.url.replace("://", f"://me:{CANARY}@")})
    assert http.get("http://index.invalid/a", limit=len(BODY)) == BODY
    assert server.asked[0].headers["proxy-authorization"] == network.basic("me", CANARY)["Authorization"]


def test_a_proxy_that_does_not_answer_is_named_as_the_reason() -> None:
    http = Http({"HTTPS_PROXY": refused()}, pauses=())
    with pytest.raises(Unreachable, match="proxy"):
        http.get("https://index.invalid/a", limit=9)


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, "http://a.example/x", None),
        ({"http_proxy": "http://p:1"}, "http://a.example/x", "http://p:1"),
        ({"HTTP_PROXY": "p:1"}, "http://a.example/x", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "https://a.example/x", None),
        ({"ALL_PROXY": "http://p:1"}, "https://a.example/x", "http://p:1"),
        ({"all_proxy": "http://p:1", "no_proxy": "*"}, "https://a.example/x", None),
        ({"all_proxy": "http://p:1", "NO_PROXY": "b.example, a.example"}, "https://a.example/x", None),
        ({"all_proxy": "http://p:1", "no_proxy": ".example"}, "https://a.example/x", None),
        ({"all_proxy": "http://p:1", "no_proxy": "example"}, "https://a.example/x", None),
        ({"all_proxy": "http://p:1", "no_proxy": "ample"}, "https://a.example/x", "http://p:1"),
        ({"all_proxy": "http://p:1", "no_proxy": "a.example:443"}, "https://a.example/x", None),
        ({"all_proxy": "http://p:1", "no_proxy": "a.example:80"}, "https://a.example/x", "http://p:1"),
        ({"all_proxy": "http://p:1", "no_proxy": ","}, "https://a.example/x", "http://p:1"),
    ],
)
def test_proxies_are_named_as_curl_names_them(
    environ: Mapping[str, str], url: str, proxy: str | None
) -> None:
    assert network.proxy(url, environ) == proxy


def test_a_socks_proxy_is_refused_with_what_would_do() -> None:
    with pytest.raises(BadInput, match="socks5"):
        network.proxy("https://a.example/", {"all_proxy": "socks5://p:1"})


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_named_file_of_authorities_must_be_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=name):
        tls({name: str(tmp_path / "missing.pem")}, Trust())
    (tmp_path / "bad.pem").write_text("not certificates")
    with pytest.raises(BadInput, match="cannot read the certificates"):
        tls({name: str(tmp_path / "bad.pem")}, Trust())


@pytest.mark.parametrize("text", [None, "not certificates"])
def test_authorities_that_cannot_be_read_are_told_to_whoever_needs_them(
    tmp_path: Path, text: str | None
) -> None:
    bad = tmp_path / "bad.pem"
    if text is not None:
        bad.write_text(text)
    http = Http({"SSL_CERT_FILE": str(bad)})
    http.make_ready()
    with pytest.raises(BadInput):
        http.get("https://127.0.0.1:1/", limit=1)


def test_netrc_gives_a_host_its_own_entry_and_no_default(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine a.example login me password pw\ndefault login x password y\n")
    environ = {"HOME": str(tmp_path)}
    assert network.netrc_login("a.example", environ) == ("me", "pw")
    assert network.netrc_login("b.example", environ) is None
    (tmp_path / ".netrc").write_text(f"machine a.example password {CANARY} nonsense")
    with pytest.raises(BadInput) as caught:
        network.netrc_login("a.example", environ)
    assert CANARY not in str(caught.value)
