"""Requests to a registry: let in, patient, bounded, judged, and silent about secrets."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import threading
import time
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.repositories import CANARY, blob, credential, guarded, repository, session

from taskimage.adapters.crew import Crew
from taskimage.adapters.http.trust import Trust
from taskimage.adapters.registry.repository import Repository
from taskimage.model.errors import BadInput, NotAllowed, NotFound, TaskImageError, Unreachable
from taskimage.testing import Certificates, Fault, Registry, make_certificates, make_image

IMAGE = make_image()
TAG = "team/app:v1"


@pytest.fixture
def registry() -> Iterator[Registry]:
    """One that lets everybody in, with an image."""
    with Registry() as registry:
        registry.put_image(TAG, IMAGE)
        yield registry


@pytest.fixture
def locked() -> Iterator[Registry]:
    """One that wants tokens, with an image."""
    with guarded("bearer") as registry:
        registry.put_image(TAG, IMAGE)
        yield registry


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A private authority's."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@contextlib.contextmanager
def saying(status: int, headers: dict[str, str], body: bytes) -> Iterator[str]:
    """The address of a server that is no registry and always says the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - a name that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def tokens(registry: Registry) -> list[str]:
    """What the token server was asked."""
    return [f"{one.method} {one.path}" for one in registry.requests if one.path.startswith("/token")]


# -- tokens --------------------------------------------------------------------------------------------


def test_nothing_is_shown_before_it_is_asked_for(registry: Registry) -> None:
    assert repository(registry, known=credential()).head("v1") is not None
    assert [one.authorization for one in registry.requests] == [""]


def test_a_token_is_asked_for_once_by_many_threads(locked: Registry) -> None:
    there = repository(locked, known=credential())
    Crew.run(lambda _: there.head("v1"), range(40))
    assert tokens(locked) == ["GET /token?service=registry&scope=repository%3Ateam%2Fapp%3Apull%2Cpush"]


def test_each_repository_has_its_token(locked: Registry) -> None:
    locked.put_image("team/other:v1", IMAGE)
    shared = session(locked.url, known=credential())
    for _ in range(3):
        for path in ("team/app", "team/other"):
            assert Repository(shared, path).head("v1") is not None
    assert len(tokens(locked)) == 2


def test_reading_asks_for_the_right_to_read_alone(locked: Registry) -> None:
    assert Repository(session(locked.url, known=credential()), "team/app").head("v1") is not None
    assert tokens(locked) == ["GET /token?service=registry&scope=repository%3Ateam%2Fapp%3Apull"]


def test_a_token_that_is_taken_no_more_is_renewed(locked: Registry) -> None:
    there = repository(locked, known=credential())
    there.head("v1")
    locked.expire_tokens()
    assert there.head("v1") is not None
    assert len(tokens(locked)) == 2


def test_many_threads_renew_a_token_once(locked: Registry) -> None:
    there = repository(locked, known=credential())
    there.head("v1")
    locked.expire_tokens()
    Crew.run(lambda _: there.head("v1"), range(40))
    assert len(tokens(locked)) == 2


def test_a_token_near_its_end_is_renewed_before_it_is_refused() -> None:
    with Registry(auth="bearer", username="ada", password=CANARY, token_lifetime=1) as registry:
        registry.put_image(TAG, IMAGE)
        there = repository(registry, known=credential())
        there.head("v1")
        time.sleep(0.85)
        assert there.head("v1") is not None
        assert [one.status for one in registry.requests].count(401) == 1


def test_a_token_without_a_lifetime_serves_for_a_minute(locked: Registry) -> None:
    token = locked.issue_token("repository:team/app:pull,push")
    answer = json.dumps({"access_token": token}).encode()
    locked.fail(Fault(path="/token", status=200, body=answer))
    there = repository(locked, known=credential())
    there.head("v1")
    assert there.head("v1") is not None
    assert len(tokens(locked)) == 1


def test_an_identity_token_goes_to_the_token_server_alone(locked: Registry) -> None:
    there = repository(locked, known=credential("identity", locked.identity_token))
    assert there.head("v1") is not None
    assert tokens(locked) == ["POST /token"]
    assert all(locked.identity_token not in one.authorization for one in locked.requests)


def test_a_registry_that_wants_a_password_gets_no_identity_token() -> None:
    with guarded() as registry:
        with pytest.raises(NotAllowed):
            repository(registry, known=credential("identity", CANARY)).head("v1")
        assert [one.authorization for one in registry.requests] == [""]


def test_a_registry_token_is_shown_as_it_is(locked: Registry) -> None:
    token = locked.issue_token("repository:team/app:pull,push")
    assert repository(locked, known=credential("bearer", token)).head("v1") is not None
    assert tokens(locked) == []


def test_who_has_no_credentials_gets_a_token_for_what_is_public() -> None:
    with Registry(auth="bearer", username="ada", password=CANARY, public=True) as registry:
        registry.put_image(TAG, IMAGE)
        assert Repository(session(registry.url), "team/app").head("v1") is not None


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Fault(path="/token", status=503, times=None), Unreachable, "cannot get a token for"),
        (Fault(path="/token", lost=True, times=None), Unreachable, "/token"),
        (Fault(path="/token", status=200, body=b"<html>", times=None), Unreachable, "answered HTTP 200"),
        (Fault(path="/token", status=200, body=b"[]", times=None), Unreachable, "answered HTTP 200"),
        (Fault(path="/token", status=200, body=b'{"token": 7}', times=None), Unreachable, "sent none"),
        (Fault(path="/token", status=200, body=b'{"token": "a\\nb"}', times=None), Unreachable, "sent none"),
        (
            Fault(path="/token", status=200, body='{"token": "→"}'.encode(), times=None),
            Unreachable,
            "sent none",
        ),
        (Fault(path="/token", status=401, times=None), NotAllowed, "auths in a.json: none"),
        (Fault(path="/token", status=403, times=None), NotAllowed, "lets nobody in"),
    ],
)
def test_a_token_server_that_gives_no_token(
    locked: Registry, fault: Fault, error: type[TaskImageError], words: str
) -> None:
    locked.fail(fault)
    with pytest.raises(error) as caught:
        repository(locked, known=credential()).head("v1")
    assert words in str(caught.value)
    assert locked.host in str(caught.value)


def test_a_token_server_in_trouble_is_asked_again(locked: Registry) -> None:
    locked.fail(
        Fault(path="/token", status=503),
        Fault(path="/token", cut_response=9),
        Fault(path="/token", lost=True),
    )
    assert repository(locked, known=credential()).head("v1") is not None


@pytest.mark.parametrize(
    "realm",
    ["http://tokens.example/token", "ftp://tokens.example/", "tokens", "http://[::1/", "http://a:b/", ""],
)
def test_credentials_go_to_no_token_server_without_tls(registry: Registry, realm: str) -> None:
    registry.fail(Fault(status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'}, times=None))
    with pytest.raises(NotAllowed, match="token server, which is not safe" if realm else "401"):
        repository(registry, known=credential()).head("v1")


def test_a_refusal_that_asks_for_nothing_is_final(registry: Registry) -> None:
    registry.fail(Fault(status=401, times=None))
    with pytest.raises(NotAllowed, match="401 Unauthorized"):
        repository(registry, known=credential()).head("v1")
    assert len(registry.requests) == 1


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_what_may_not_be_done_is_asked_for_twice_at_most(auth: str) -> None:
    with guarded("bearer" if auth == "bearer" else "basic", may=["pull"]) as registry:
        with pytest.raises(NotAllowed, match=r"log in|ask for the right"):
            repository(registry, known=credential()).upload(*blob(10))
        assert [one.method for one in registry.requests if one.method == "POST"] in (["POST"], ["POST"] * 2)


# -- patience ------------------------------------------------------------------------------------------


def test_a_registry_that_wants_quiet_gets_it_from_all_threads(registry: Registry) -> None:
    asked: list[float] = []
    registry.fail(Fault(status=429, headers={"Retry-After": "1"}))
    registry.fail(Fault(times=None, before=lambda: asked.append(time.monotonic())))
    there = repository(registry)
    began = time.monotonic()
    assert there.head("v1") is not None
    Crew.run(lambda _: there.head("v1"), range(8))
    assert min(asked) - began >= 1


def test_one_thread_learns_and_the_others_keep_quiet(registry: Registry) -> None:
    refused = threading.Event()
    registry.fail(Fault(status=429, headers={"Retry-After": "1"}, before=refused.set))
    there = repository(registry)

    def work(number: int) -> float:
        if number:
            refused.wait(5)
            time.sleep(0.2)
        there.head("v1")
        return time.monotonic()

    began = time.monotonic()
    Crew.run(work, range(8))
    assert time.monotonic() - began >= 1
    assert len(registry.requests) == 9


def test_a_wait_that_is_too_long_is_not_begun(registry: Registry) -> None:
    registry.fail(Fault(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(Unreachable) as caught:
        repository(registry).head("v1")
    assert "wait 3600 seconds" in str(caught.value)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_trouble_that_passes_is_waited_for(registry: Registry, status: int) -> None:
    registry.fail(Fault(status=status, times=4))
    assert repository(registry).head("v1") is not None


@pytest.mark.parametrize("status", [429, 500, 503])
def test_trouble_that_stays_is_unreachable(registry: Registry, status: int) -> None:
    registry.fail(Fault(status=status, code="TOOMANYREQUESTS", times=None))
    with pytest.raises(Unreachable, match=rf"cannot read .*/team/app:v1: GET .* answered {status} .*TOOMANY"):
        repository(registry).manifest("v1")
    assert len(registry.requests) == 5


def test_no_more_requests_at_one_time_than_a_registry_likes(registry: Registry) -> None:
    registry.fail(Fault(delay=0.1, times=None))
    shared = session(registry.url)
    threads = [threading.Thread(target=lambda: Repository(shared, "team/app").head("v1")) for _ in range(24)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Three rounds of eight.
    assert time.monotonic() - began >= 0.3


# -- what is no registry -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 404])
def test_a_page_says_nothing_about_images(status: int) -> None:
    with saying(status, {"Content-Type": "text/html"}, b"<html>") as url:
        there = Repository(session(url), "team/app")
        with pytest.raises(Unreachable) as caught:
            there.head("v1")
        assert "look whether 127.0.0.1" in str(caught.value)
        with pytest.raises(Unreachable):
            there.has_blob(blob(10)[0].digest)


def test_a_registry_s_own_404_is_an_absence(registry: Registry) -> None:
    there = repository(registry)
    assert there.head("v2") is None
    assert there.manifest("v2") is None
    assert not there.has_blob(blob(10)[0].digest)


def test_an_error_document_is_shown_without_what_would_break_a_line(registry: Registry) -> None:
    document = json.dumps({"errors": [{"code": "NAME_INVALID", "message": "a\x1b[2J" + "b" * 1000}]}).encode()
    registry.fail(Fault(status=400, body=document, times=None))
    with pytest.raises(BadInput, match="NAME_INVALID") as caught:
        repository(registry).manifest("v1")
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_repository_that_must_be_made_first(registry: Registry) -> None:
    registry.fail(Fault(method="POST", status=404, code="NAME_UNKNOWN", times=None))
    with pytest.raises(NotFound, match="some registries want a repository made before a push"):
        repository(registry).upload(*blob(10))


# -- redirects and TLS ---------------------------------------------------------------------------------


def test_credentials_stay_behind_at_a_redirect() -> None:
    with guarded() as registry, Registry() as elsewhere:
        data = b"a configuration"
        digest = registry.put_blob("team/app", data)
        elsewhere.put_blob("team/app", data)
        registry.fail(Fault(method="GET", path="/blobs/", redirect=elsewhere.url))
        there = repository(registry, known=credential())
        there.has_blob(digest)
        descriptor = blob(0)[0]
        assert there.ask("GET", f"blobs/{digest}", "read").body == data
        assert [one.authorization for one in elsewhere.requests] == [""]
        assert descriptor.size == 0


def test_another_host_cannot_ask_for_credentials() -> None:
    with guarded("bearer") as registry, guarded("bearer") as elsewhere:
        digest = registry.put_blob("team/app", b"a configuration")
        registry.fail(Fault(method="GET", path="/blobs/", redirect=elsewhere.url, times=None))
        there = repository(registry, known=credential())
        with pytest.raises(NotAllowed):
            there.ask("GET", f"blobs/{digest}", "read")
        assert {one.authorization for one in elsewhere.requests} == {""}
        assert tokens(elsewhere) == []


@pytest.mark.parametrize("address", ["http://[::1", "https://", "http://a:b/", "ftp://a/"])
def test_an_address_that_is_none_is_not_followed(registry: Registry, address: str) -> None:
    registry.fail(Fault(status=307, headers={"Location": address}, times=None))
    with pytest.raises(Unreachable, match=r"leads to what is no address|less safe"):
        repository(registry).manifest("v1")
    registry.heal()
    registry.fail(Fault(method="POST", status=202, headers={"Location": address}, times=None))
    with pytest.raises(Unreachable, match="leads to what is no address"):
        repository(registry).upload(*blob(10))


def test_a_challenge_that_cannot_be_met_is_passed_over() -> None:
    with guarded() as registry:
        registry.put_image(TAG, IMAGE)
        both = {"WWW-Authenticate": 'Negotiate, Bearer service="x", Basic realm="registry"'}
        registry.fail(Fault(status=401, headers=both))
        assert repository(registry, known=credential()).head("v1") is not None


def test_redirects_have_an_end(registry: Registry) -> None:
    registry.fail(Fault(redirect=registry.url, times=None))
    with pytest.raises(Unreachable, match="redirects more than 5 times"):
        repository(registry).manifest("v1")


def test_a_redirect_to_plain_http_is_not_followed(certificates: Certificates, registry: Registry) -> None:
    with Registry(tls=certificates) as secure:
        secure.fail(Fault(redirect=registry.url))
        with pytest.raises(Unreachable, match="less safe"):
            repository(secure, trust=Trust(ca=(str(certificates.ca),))).manifest("v1")
        assert registry.requests == ()


def test_a_certificate_that_nobody_vouches_for(certificates: Certificates) -> None:
    with Registry(tls=certificates) as registry, pytest.raises(Unreachable, match="is not trusted"):
        repository(registry).head("v1")


def test_an_insecure_registry_is_spoken_to_as_it_can(certificates: Certificates) -> None:
    for tls in (certificates, None):
        with Registry(tls=tls) as registry:
            registry.put_image(TAG, IMAGE)
            roots = (f"https://{registry.host}", f"http://{registry.host}")
            there = Repository(session(roots, trust=Trust(verified=False), known=credential()), "team/app")
            assert there.head("v1") is not None
            assert there.session.shown(there.request("GET", "x", "")).startswith(registry.url)


# -- pages ---------------------------------------------------------------------------------------------


def test_tags_come_from_all_pages() -> None:
    with Registry(page=2) as registry:
        for number in range(5):
            registry.put_image(f"team/app:v{number}", IMAGE)
        assert list(repository(registry).tags()) == ["v0", "v1", "v2", "v3", "v4"]


def test_pages_that_lead_back_end(registry: Registry) -> None:
    link = {"Link": '</v2/team/app/tags/list?n=1000>; rel="next"'}
    registry.fail(Fault(path="/tags/", status=200, headers=link, body=b'{"tags": ["a"]}', times=None))
    assert list(repository(registry).tags()) == ["a"]


# -- secrets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth", ["basic", "bearer"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500, times=None),
        Fault(status=401, times=None),
        Fault(status=403, code="DENIED", times=None),
        Fault(lost=True, times=None),
        Fault(method="POST", status=202, times=None),
        Fault(method="PUT", status=400, code="DIGEST_INVALID", times=None),
        Fault(redirect="http://elsewhere.invalid", times=None),
    ],
)
def test_no_secret_is_shown(
    auth: str, fault: Fault, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    known = credential()
    with guarded("bearer" if auth == "bearer" else "basic") as registry:
        # Let in first, so that there is a token to be shown.
        there = repository(registry, known=known)
        there.head("v1")
        registry.fail(fault)
        with pytest.raises(TaskImageError) as caught:
            there.upload(*blob(10))
        secrets = {CANARY, base64.b64encode(f"ada:{CANARY}".encode()).decode()}
        secrets |= {one.authorization.partition(" ")[2] for one in registry.requests} - {""}
        told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        told += repr(known) + repr(there.session.__dict__) + repr(vars(there.session._authorization))
        for secret in secrets:
            assert secret not in told
            assert secret not in caplog.text
