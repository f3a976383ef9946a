"""The registry for tests does what the distribution-spec v1.1 says, and goes wrong as ordered."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import io
import json
import re
import socket
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

import pytest

from taskimage.model.digest import Digest
from taskimage.model.errors import NotFound
from taskimage.model.oci import INDEX, MANIFEST
from taskimage.testing import Exchange, Fault, MadeImage, Registry, make_image, make_index

DATA = bytes(range(256)) * 40
DIGEST = str(Digest.of(DATA))
UPLOADS = "/v2/team/app/blobs/uploads/"
IMAGE = make_image()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["errors"][0]["code"])


class Client:
    """A connection that is kept; it follows no redirects and repeats nothing."""

    def __init__(self, registry: Registry) -> None:
        self.connection = http.client.HTTPConnection(registry.host, timeout=10)

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            self.connection.request(method, target, body, named)
            answer = self.connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        except BaseException:
            self.connection.close()
            raise

    def upload(self, repository: str = "team/app") -> str:
        """The address of a new upload."""
        return self.ask("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as made:
        yield made


@pytest.fixture
def connect() -> Iterator[Callable[[Registry], Client]]:
    """A function that connects to a registry."""
    clients: list[Client] = []

    def connect(registry: Registry) -> Client:
        clients.append(Client(registry))
        return clients[-1]

    yield connect
    for client in clients:
        client.connection.close()


@pytest.fixture
def client(registry: Registry, connect: Callable[[Registry], Client]) -> Client:
    return connect(registry)


# -- blobs ---------------------------------------------------------------------------------------------


def test_the_base_says_that_this_is_a_registry(client: Client) -> None:
    reply = client.ask("GET", "/v2/")
    assert reply.status == 200
    assert reply.headers["Docker-Distribution-API-Version"] == "registry/2.0"


def in_one_post(client: Client) -> Reply:
    return client.ask("POST", f"{UPLOADS}?digest={DIGEST}", DATA)


def in_a_put(client: Client) -> Reply:
    return client.ask("PUT", f"{client.upload()}&digest={DIGEST}", DATA)


def in_chunks(client: Client) -> Reply:
    at = client.upload()
    for start in range(0, len(DATA), 4000):
        chunk = DATA[start : start + 4000]
        stated = f"{start}-{start + len(chunk) - 1}"
        reply = client.ask("PATCH", at, chunk, Content_Range=stated)
        assert (reply.status, reply.headers["Range"]) == (202, f"0-{start + len(chunk) - 1}")
        at = reply.headers["Location"]
    return client.ask("PUT", f"{at}&digest={DIGEST}")


def in_chunks_of_which_the_last_is_put(client: Client) -> Reply:
    at = client.ask("PATCH", client.upload(), DATA[:100], Content_Range="0-99").headers["Location"]
    stated = f"100-{len(DATA) - 1}"
    return client.ask("PUT", f"{at}&digest={DIGEST}", DATA[100:], Content_Range=stated)


def in_a_stream_of_unknown_length(client: Client) -> Reply:
    pieces = (DATA[start : start + 999] for start in range(0, len(DATA), 999))
    reply = client.ask("PATCH", client.upload(), pieces)
    assert reply.status == 202
    return client.ask("PUT", f"{reply.headers['Location']}&digest={DIGEST}")


@pytest.mark.parametrize(
    "push",
    [
        in_one_post,
        in_a_put,
        in_chunks,
        in_chunks_of_which_the_last_is_put,
        in_a_stream_of_unknown_length,
    ],
)
def test_a_blob_that_was_pushed_is_there(
    registry: Registry, client: Client, push: Callable[[Client], Reply]
) -> None:
    reply = push(client)
    assert (reply.status, reply.headers["Docker-Content-Digest"]) == (201, DIGEST)
    assert client.ask("GET", reply.headers["Location"]).body == DATA
    assert registry.blobs[Digest.parse(DIGEST)].read_bytes() == DATA


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_a_blob_has_the_digest_that_it_was_pushed_with(client: Client, algorithm: str) -> None:
    digest = f"{algorithm}:{hashlib.new(algorithm, DATA).hexdigest()}"
    assert client.ask("POST", f"{UPLOADS}?digest={digest}", DATA).status == 201
    assert client.ask("HEAD", f"/v2/team/app/blobs/{digest}").headers["Content-Length"] == str(len(DATA))


def test_a_blob_with_another_digest_is_refused_and_its_upload_is_over(client: Client) -> None:
    at = client.upload()
    wrong = Digest.of(b"other")
    reply = client.ask("PUT", f"{at}&digest={wrong}", DATA)
    assert (reply.status, reply.code) == (400, "DIGEST_INVALID")
    assert json.loads(reply.body)["errors"][0]["detail"] == {"digest": str(wrong)}
    assert client.ask("GET", at).code == "BLOB_UPLOAD_UNKNOWN"
    assert client.ask("GET", f"/v2/team/app/blobs/{wrong}").status == 404


def test_the_status_of_an_upload_tells_what_has_arrived(client: Client) -> None:
    at = client.upload()
    assert client.ask("GET", at).headers["Range"] == "0-0"
    client.ask("PATCH", at, DATA[:100])
    reply = client.ask("GET", at)
    assert (reply.status, reply.headers["Range"]) == (204, "0-99")
    assert reply.headers["Location"] != at


@pytest.mark.parametrize("stated", ["101-199", "0-99", "bytes 100-199", "100", "x-y"])
def test_a_chunk_that_is_not_the_next_one_is_refused(client: Client, stated: str) -> None:
    at = client.ask("PATCH", client.upload(), DATA[:100]).headers["Location"]
    reply = client.ask("PATCH", at, DATA[100:200], Content_Range=stated)
    assert (reply.status, reply.headers["Range"]) == (416, "0-99")
    assert client.ask("GET", reply.headers["Location"]).headers["Range"] == "0-99"


def test_a_chunk_of_another_size_than_its_range_is_refused(client: Client) -> None:
    reply = client.ask("PATCH", client.upload(), DATA[:100], Content_Range="0-49")
    assert (reply.status, reply.code) == (400, "SIZE_INVALID")


def test_what_arrived_before_the_connection_was_lost_is_kept(registry: Registry, client: Client) -> None:
    at = client.upload()
    with socket.create_connection(registry.host.split(":")) as lost:  # type: ignore[arg-type]
        head = f"PATCH {at} HTTP/1.1\r\nHost: x\r\nContent-Range: 0-9999\r\nContent-Length: 10000\r\n\r\n"
        lost.sendall(head.encode() + DATA[:1234])
    deadline = time.monotonic() + 5
    while not any(asked.method == "PATCH" for asked in registry.requests):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert client.ask("GET", at).headers["Range"] == "0-1233"
    stated = f"1234-{len(DATA) - 1}"
    at = client.ask("PATCH", at, DATA[1234:], Content_Range=stated).headers["Location"]
    assert client.ask("PUT", f"{at}&digest={DIGEST}").status == 201
    assert [asked.received for asked in registry.requests if asked.method == "PATCH"] == [1234, 9006]


def test_a_registry_can_refuse_to_go_on_after_a_chunk_that_was_lost(
    connect: Callable[[Registry], Client],
) -> None:
    """Docker's does: the address says how much was there, and nothing but the whole chunk moves it on."""
    with Registry(resumable=False) as registry:
        client = connect(registry)
        at = client.ask("PATCH", client.upload(), DATA[:100]).headers["Location"]
        registry.fail(Fault(method="PATCH", cut_request=50))
        with pytest.raises(ConnectionError):
            client.ask("PATCH", at, DATA[100:])
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            reply = client.ask(method, f"{at}&digest={DIGEST}")
            assert (reply.status, reply.code) == (404, "BLOB_UPLOAD_INVALID")
        assert in_chunks(client).status == 201


def test_an_upload_needs_a_digest_to_be_finished(client: Client) -> None:
    at = client.ask("PATCH", client.upload(), DATA).headers["Location"]
    assert client.ask("PUT", at).code == "DIGEST_INVALID"
    assert client.ask("PUT", f"{at}&digest={DIGEST}").status == 201


def test_an_upload_that_was_cancelled_is_unknown(client: Client) -> None:
    at = client.upload()
    assert client.ask("DELETE", at).status == 204
    assert client.ask("PATCH", at, DATA).code == "BLOB_UPLOAD_UNKNOWN"


def test_an_upload_belongs_to_its_repository(client: Client) -> None:
    at = client.upload().replace("team/app", "team/other")
    assert client.ask("GET", at).code == "BLOB_UPLOAD_UNKNOWN"


def test_a_blob_of_another_repository_is_seen_once_it_is_mounted(registry: Registry, client: Client) -> None:
    registry.put_blob("one", DATA)
    assert client.ask("HEAD", f"/v2/two/blobs/{DIGEST}").status == 404
    reply = client.ask("POST", f"/v2/two/blobs/uploads/?mount={DIGEST}&from=one")
    assert (reply.status, reply.headers["Location"]) == (201, f"/v2/two/blobs/{DIGEST}")
    assert client.ask("GET", f"/v2/two/blobs/{DIGEST}").body == DATA


@pytest.mark.parametrize(
    ("mount", "source"), [(True, "nowhere"), (True, "three"), (True, ""), (False, "one")]
)
def test_a_mount_that_cannot_be_is_an_upload(
    connect: Callable[[Registry], Client], *, mount: bool, source: str
) -> None:
    with Registry(mount=mount) as registry:
        registry.put_blob("one", DATA)
        registry.put_blob("three", b"another")
        reply = connect(registry).ask("POST", f"/v2/two/blobs/uploads/?mount={DIGEST}&from={source}")
        assert reply.status == 202
        assert reply.headers["Location"].startswith("/v2/two/blobs/uploads/")


def test_a_registry_can_refuse_chunks(connect: Callable[[Registry], Client]) -> None:
    with Registry(chunked=False) as registry:
        client = connect(registry)
        assert client.ask("PATCH", client.upload(), DATA).status == 405
        assert in_a_put(client).status == 201


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, len(DATA)),
        ("bytes=-7", len(DATA) - 7, len(DATA)),
        ("bytes=10000-99999", 10000, len(DATA)),
        (f"bytes=-{len(DATA) + 1}", 0, len(DATA)),
    ],
)
def test_a_range_of_a_blob(registry: Registry, client: Client, asked: str, start: int, end: int) -> None:
    registry.put_blob("team/app", DATA)
    reply = client.ask("GET", f"/v2/team/app/blobs/{DIGEST}", Range=asked)
    assert (reply.status, reply.body) == (206, DATA[start:end])
    assert reply.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(DATA)}"


@pytest.mark.parametrize("asked", ["bytes=-", "bytes=0-1,5-6", "lines=1-2", "bytes=x-"])
def test_a_range_that_is_not_understood_gives_the_whole_blob(
    registry: Registry, client: Client, asked: str
) -> None:
    registry.put_blob("team/app", DATA)
    reply = client.ask("GET", f"/v2/team/app/blobs/{DIGEST}", Range=asked)
    assert (reply.status, reply.body) == (200, DATA)


def test_a_range_behind_the_end_is_refused(registry: Registry, client: Client) -> None:
    registry.put_blob("team/app", DATA)
    reply = client.ask("GET", f"/v2/team/app/blobs/{DIGEST}", Range=f"bytes={len(DATA)}-")
    assert (reply.status, reply.headers["Content-Range"]) == (416, f"bytes */{len(DATA)}")


def test_a_registry_can_ignore_ranges(connect: Callable[[Registry], Client]) -> None:
    with Registry(ranges=False) as registry:
        registry.put_blob("team/app", DATA)
        reply = connect(registry).ask("GET", f"/v2/team/app/blobs/{DIGEST}", Range="bytes=5-")
        assert (reply.status, reply.body) == (200, DATA)


# -- manifests -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["v1", str(IMAGE.digest)])
def test_a_manifest_is_given_back_as_it_was_pushed(
    registry: Registry, client: Client, reference: str
) -> None:
    for blob in IMAGE.blobs:
        registry.put_blob("team/app", blob)
    at = f"/v2/team/app/manifests/{reference}"
    pushed = client.ask("PUT", at, IMAGE.manifest, Content_Type=MANIFEST)
    assert (pushed.status, pushed.headers["Docker-Content-Digest"]) == (201, str(IMAGE.digest))
    for path in (at, pushed.headers["Location"]):
        got = client.ask("GET", path)
        assert (got.body, got.headers["Content-Type"]) == (IMAGE.manifest, MANIFEST)
        head = client.ask("HEAD", path)
        assert head.headers["Docker-Content-Digest"] == str(IMAGE.digest)
        assert (head.headers["Content-Length"], head.body) == (str(len(IMAGE.manifest)), b"")
    assert registry.manifest("team/app", reference).digest == IMAGE.digest


def test_every_blob_that_is_missing_is_named(client: Client) -> None:
    reply = client.ask("PUT", "/v2/team/app/manifests/v1", IMAGE.manifest, Content_Type=MANIFEST)
    errors = json.loads(reply.body)["errors"]
    assert [error["detail"]["digest"] for error in errors] == [str(Digest.of(blob)) for blob in IMAGE.blobs]


def test_a_manifest_needs_all_its_blobs(registry: Registry, client: Client) -> None:
    config, layer = IMAGE.blobs
    registry.put_blob("team/app", config)
    registry.put_blob("team/other", layer)
    reply = client.ask("PUT", "/v2/team/app/manifests/v1", IMAGE.manifest, Content_Type=MANIFEST)
    assert (reply.status, reply.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert json.loads(reply.body)["errors"][0]["detail"] == {"digest": str(Digest.of(layer))}
    assert registry.tags("team/app") == []


def test_an_index_needs_all_its_manifests(registry: Registry, client: Client) -> None:
    index = make_index([IMAGE])
    put = ("PUT", "/v2/team/app/manifests/v1", index.manifest)
    assert client.ask(*put, Content_Type=INDEX).code == "MANIFEST_BLOB_UNKNOWN"
    registry.put_image("team/app", IMAGE)
    assert client.ask(*put, Content_Type=INDEX).status == 201


def json_of(**fields: object) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, **fields}).encode()


@pytest.mark.parametrize(
    ("reference", "body", "code"),
    [
        ("v1", b"{", "MANIFEST_INVALID"),
        ("v1", b"[]", "MANIFEST_INVALID"),
        ("v1", json_of(schemaVersion=1), "MANIFEST_INVALID"),
        ("v1", json_of(mediaType=INDEX), "MANIFEST_INVALID"),
        ("v1", json_of(config={}), "MANIFEST_INVALID"),
        ("v1", json_of(layers=["x"]), "MANIFEST_INVALID"),
        ("v1", json_of(layers=5), "MANIFEST_INVALID"),
        ("v1", json_of(manifests=[5]), "MANIFEST_INVALID"),
        ("v1", json_of(subject={"digest": "x"}), "MANIFEST_INVALID"),
        ("v1", json_of(filler="x" * (4 << 20)), "MANIFEST_INVALID"),
        ("-v1", json_of(), "TAG_INVALID"),
        ("x" * 129, json_of(), "TAG_INVALID"),
        ("sha256:x", json_of(), "DIGEST_INVALID"),
        (DIGEST, json_of(), "DIGEST_INVALID"),
    ],
)
def test_a_manifest_that_is_refused(
    registry: Registry, client: Client, reference: str, body: bytes, code: str
) -> None:
    reply = client.ask("PUT", f"/v2/team/app/manifests/{reference}", body, Content_Type=MANIFEST)
    assert reply.code == code
    assert registry.tags("team/app") == []


def test_layers_with_addresses_of_their_own_need_not_be_there(client: Client) -> None:
    body = json_of(layers=[{"digest": DIGEST, "urls": ["https://elsewhere.example/layer"]}])
    assert client.ask("PUT", "/v2/team/app/manifests/v1", body, Content_Type=MANIFEST).status == 201


def test_a_tag_moves_unless_tags_are_immutable(connect: Callable[[Registry], Client]) -> None:
    bodies = json_of(), json_of(annotations={"a": "b"})
    for immutable, statuses in ((False, [201, 201, 201]), (True, [201, 201, 400])):
        with Registry(immutable_tags=immutable) as registry:
            put = connect(registry).ask
            replies = [
                put("PUT", "/v2/team/app/manifests/v1", body, Content_Type=MANIFEST)
                for body in (bodies[0], bodies[0], bodies[1])
            ]
            assert [reply.status for reply in replies] == statuses
            named = registry.manifest("team/app", "v1").digest
            assert named == Digest.of(bodies[0] if immutable else bodies[1])


def test_tags_are_listed_in_order_some_at_a_time(registry: Registry, client: Client) -> None:
    tags = ["1.0", "Z", "a", "b", "v1"]
    for tag in reversed(tags):
        registry.put_image(f"team/app:{tag}", IMAGE)
    assert json.loads(client.ask("GET", "/v2/team/app/tags/list").body) == {"name": "team/app", "tags": tags}
    assert "Link" not in client.ask("GET", "/v2/team/app/tags/list?n=5").headers
    found: list[str] = []
    target = "/v2/team/app/tags/list?n=2"
    for _ in range(3):
        reply = client.ask("GET", target)
        found += json.loads(reply.body)["tags"]
        link = re.fullmatch('<(.+)>; rel="next"', reply.headers.get("Link", ""))
        target = link[1] if link else ""
    assert (found, target) == (tags, "")


def test_a_registry_can_list_few_tags_at_once(connect: Callable[[Registry], Client]) -> None:
    with Registry(page=1) as registry:
        for tag in ("a", "b"):
            registry.put_image(f"team/app:{tag}", IMAGE)
        reply = connect(registry).ask("GET", "/v2/team/app/tags/list?n=50")
        assert json.loads(reply.body)["tags"] == ["a"]
        assert "last=a" in reply.headers["Link"]


def put_artifact(client: Client, kind: str, subject: str) -> Reply:
    body = json_of(artifactType=kind, subject={"digest": subject}, annotations={"kind": kind})
    reference = Digest.of(body)
    return client.ask("PUT", f"/v2/team/app/manifests/{reference}", body, Content_Type=MANIFEST)


def test_referrers_are_found_by_their_subject(registry: Registry, client: Client) -> None:
    """The subject itself may come later."""
    subject = str(IMAGE.digest)
    for kind in ("text/a", "text/b"):
        assert put_artifact(client, kind, subject).headers["OCI-Subject"] == subject
    put_artifact(client, "text/a", DIGEST)
    reply = client.ask("GET", f"/v2/team/app/referrers/{subject}")
    assert reply.headers["Content-Type"] == INDEX
    found = json.loads(reply.body)["manifests"]
    assert sorted(one["artifactType"] for one in found) == ["text/a", "text/b"]
    assert all(one["annotations"] == {"kind": one["artifactType"]} for one in found)
    reply = client.ask("GET", f"/v2/team/app/referrers/{subject}?artifactType=text/a")
    assert reply.headers["OCI-Filters-Applied"] == "artifactType"
    assert [one["artifactType"] for one in json.loads(reply.body)["manifests"]] == ["text/a"]
    reply = client.ask("GET", f"/v2/nowhere/referrers/{subject}")
    assert (reply.status, json.loads(reply.body)["manifests"]) == (200, [])


def test_a_registry_can_know_nothing_of_referrers(connect: Callable[[Registry], Client]) -> None:
    with Registry(referrers=False) as registry:
        client = connect(registry)
        assert "OCI-Subject" not in put_artifact(client, "text/a", DIGEST).headers
        assert client.ask("GET", f"/v2/team/app/referrers/{DIGEST}").status == 404


def test_what_is_deleted_is_gone(registry: Registry, client: Client) -> None:
    registry.put_image("team/app:v1", IMAGE)
    registry.put_image("team/app:v2", IMAGE)
    blob = Digest.of(IMAGE.blobs[0])
    assert client.ask("DELETE", "/v2/team/app/manifests/v1").status == 202
    assert registry.tags("team/app") == ["v2"]
    assert client.ask("DELETE", f"/v2/team/app/manifests/{IMAGE.digest}").status == 202
    assert registry.tags("team/app") == []
    assert client.ask("DELETE", f"/v2/team/app/blobs/{blob}").status == 202
    assert blob not in registry.blobs
    for path in ("manifests/v1", f"manifests/{IMAGE.digest}", f"blobs/{blob}"):
        assert client.ask("DELETE", f"/v2/team/app/{path}").status == 404
    with pytest.raises(NotFound):
        registry.manifest("team/app", IMAGE.digest)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", f"/v2/team/app/blobs/{DIGEST}", 404, "BLOB_UNKNOWN"),
        ("GET", "/v2/team/app/blobs/sha256:x", 400, "DIGEST_INVALID"),
        ("GET", "/v2/team/app/manifests/v1", 404, "MANIFEST_UNKNOWN"),
        ("GET", f"/v2/team/app/manifests/{DIGEST}", 404, "MANIFEST_UNKNOWN"),
        ("GET", "/v2/team/app/tags/list", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/Team/App/tags/list", 400, "NAME_INVALID"),
        ("GET", "/v2/team/app/blobs/uploads/none", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PUT", f"/v2/team/app/blobs/uploads/none?digest={DIGEST}", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PUT", "/v2/team/app/tags/list", 405, "UNSUPPORTED"),
    ],
)
def test_what_is_not_there(client: Client, method: str, path: str, status: int, code: str) -> None:
    """Every error has a document of the specification; reading an unknown repository does not make it known."""
    for _ in range(2):
        reply = client.ask(method, path)
        assert (reply.status, reply.code) == (status, code)


def test_a_registry_on_ipv6(connect: Callable[[Registry], Client]) -> None:
    with Registry(address="::1") as registry:
        assert registry.host.startswith("[::1]:")
        assert connect(registry).ask("GET", "/v2/").status == 200


@pytest.mark.parametrize("path", ["/", "/token", "/v1/search"])
def test_what_is_no_address_of_a_registry_has_another_kind_of_error(client: Client, path: str) -> None:
    reply = client.ask("GET", path)
    assert (reply.status, reply.headers["Content-Type"]) == (404, "text/plain")


def test_a_registry_can_refuse_to_delete(connect: Callable[[Registry], Client]) -> None:
    with Registry(delete=False) as registry:
        registry.put_image("team/app:v1", IMAGE)
        for path in ("manifests/v1", f"blobs/{Digest.of(IMAGE.blobs[0])}"):
            assert connect(registry).ask("DELETE", f"/v2/team/app/{path}").code == "UNSUPPORTED"


# -- who may do what -----------------------------------------------------------------------------------


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


ME = basic("me", "s3cret")


def test_a_user_makes_a_registry_ask_for_basic_credentials(connect: Callable[[Registry], Client]) -> None:
    with Registry(username="me", password="s3cret") as registry:
        ask = connect(registry).ask
        for given in ({}, {"Authorization": basic("me", "wrong")}, {"Authorization": "Basic ?"}):
            reply = ask("GET", "/v2/", **given)
            assert (reply.status, reply.code) == (401, "UNAUTHORIZED")
            assert reply.headers["WWW-Authenticate"] == 'Basic realm="registry"'
        assert ask("GET", "/v2/", Authorization=ME).status == 200
        assert ask("POST", UPLOADS, Authorization=ME).status == 202


def test_basic_credentials_may_be_good_for_some_actions_only(connect: Callable[[Registry], Client]) -> None:
    with Registry(username="me", password="s3cret", actions=["pull"]) as registry:
        registry.put_image("team/app:v1", IMAGE)
        ask = connect(registry).ask
        assert ask("GET", "/v2/team/app/manifests/v1", Authorization=ME).status == 200
        reply = ask("POST", UPLOADS, Authorization=ME)
        assert (reply.status, reply.code) == (403, "DENIED")


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_everybody_may_pull_from_a_public_registry(
    connect: Callable[[Registry], Client], auth: Literal["basic", "bearer"]
) -> None:
    with Registry(auth=auth, username="me", password="s3cret", public=True) as registry:
        registry.put_image("team/app:v1", IMAGE)
        ask = connect(registry).ask
        token = {}
        if auth == "bearer":
            answer = ask("GET", "/token?scope=repository:team/app:pull,push")
            assert json.loads(answer.body)["scope"] == "repository:team/app:pull"
            token = {"Authorization": f"Bearer {json.loads(answer.body)['token']}"}
        assert ask("GET", "/v2/team/app/manifests/v1", **token).status == 200
        assert ask("POST", UPLOADS, **token).status == 401


@pytest.fixture
def guarded() -> Iterator[Registry]:
    """A registry that wants tokens."""
    with Registry(auth="bearer", username="me", password="s3cret") as made:
        made.put_image("team/app:v1", IMAGE)
        yield made


def challenge(reply: Reply) -> dict[str, str]:
    scheme, _, rest = reply.headers["WWW-Authenticate"].partition(" ")
    assert (reply.status, scheme) == (401, "Bearer")
    return dict(re.findall(r'(\w+)="([^"]*)"', rest))


def test_a_challenge_says_where_to_get_which_token(
    guarded: Registry, connect: Callable[[Registry], Client]
) -> None:
    ask = connect(guarded).ask
    realm = {"realm": f"{guarded.url}/token", "service": "registry"}
    assert challenge(ask("GET", "/v2/")) == realm
    for method, path, scope in (
        ("HEAD", "/v2/team/app/manifests/v1", "repository:team/app:pull"),
        ("POST", UPLOADS, "repository:team/app:pull,push"),
        ("DELETE", "/v2/team/app/manifests/v1", "repository:team/app:delete"),
        (
            "POST",
            f"{UPLOADS}?mount={DIGEST}&from=team/base",
            "repository:team/app:pull,push repository:team/base:pull",
        ),
    ):
        assert challenge(ask(method, path)) == {**realm, "scope": scope}


SCOPES = "repository:team/app:pull,push repository:team/base:pull"


def by_password(registry: Registry) -> tuple[str, str, bytes, dict[str, str]]:
    form = {"grant_type": "password", "username": "me", "password": "s3cret", "access_type": "offline"}
    return "POST", "/token", urlencode({**form, "scope": SCOPES}).encode(), {}


def by_identity_token(registry: Registry) -> tuple[str, str, bytes, dict[str, str]]:
    form = {"grant_type": "refresh_token", "refresh_token": registry.identity_token, "scope": SCOPES}
    return "POST", "/token", urlencode(form).encode(), {}


def by_basic(registry: Registry) -> tuple[str, str, bytes, dict[str, str]]:
    query = urlencode([("offline_token", "true"), *(("scope", scope) for scope in SCOPES.split())])
    return "GET", f"/token?{query}", b"", {"Authorization": ME}


@pytest.mark.parametrize("ways", [by_password, by_identity_token, by_basic])
def test_a_token_is_good_for_its_scopes(
    guarded: Registry,
    connect: Callable[[Registry], Client],
    ways: Callable[[Registry], tuple[str, str, bytes, dict[str, str]]],
) -> None:
    ask = connect(guarded).ask
    method, path, body, headers = ways(guarded)
    given = json.loads(ask(method, path, body, **headers).body)
    assert given["token"] == given["access_token"]
    assert (given["scope"], given["expires_in"]) == (SCOPES, 300)
    assert given["refresh_token"] == guarded.identity_token
    token = {"Authorization": f"Bearer {given['token']}"}
    assert ask("GET", "/v2/", **token).status == 200
    assert ask("GET", "/v2/team/app/manifests/v1", **token).status == 200
    assert ask("POST", f"{UPLOADS}?mount={DIGEST}&from=team/base", **token).status == 202
    assert challenge(ask("POST", "/v2/other/blobs/uploads/", **token))["error"] == "insufficient_scope"


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({"grant_type": "password", "username": "me", "password": "wrong"}, {}),
        ({"grant_type": "refresh_token", "refresh_token": "wrong"}, {}),
        ({"grant_type": "authorization_code"}, {}),
        (None, {"Authorization": basic("me", "wrong")}),
        (None, {"Authorization": "Bearer x"}),
    ],
)
def test_wrong_credentials_give_no_token(
    guarded: Registry,
    connect: Callable[[Registry], Client],
    form: dict[str, str] | None,
    headers: dict[str, str],
) -> None:
    body = urlencode(form).encode() if form else None
    reply = connect(guarded).ask("POST" if form else "GET", "/token", body, **headers)
    assert (reply.status, reply.code) == (401, "UNAUTHORIZED")


def test_nobody_in_particular_gets_a_token_that_is_good_for_nothing(
    guarded: Registry, connect: Callable[[Registry], Client]
) -> None:
    """What is not granted is left out of the token: it is the registry that refuses."""
    ask = connect(guarded).ask
    given = json.loads(ask("GET", "/token?scope=repository:team/app:pull&offline_token=true").body)
    assert (given["scope"], given.get("refresh_token")) == ("", None)
    token = {"Authorization": f"Bearer {given['token']}"}
    assert challenge(ask("GET", "/v2/team/app/manifests/v1", **token))["error"] == "insufficient_scope"


def test_a_token_server_without_users_gives_everybody_a_token(connect: Callable[[Registry], Client]) -> None:
    with Registry(auth="bearer") as registry:
        ask = connect(registry).ask
        given = json.loads(ask("GET", "/token?scope=repository:team/app:pull,push").body)
        assert ask("POST", UPLOADS, Authorization=f"Bearer {given['token']}").status == 202


def test_a_token_expires(guarded: Registry, connect: Callable[[Registry], Client]) -> None:
    with Registry(auth="bearer", token_lifetime=0.05) as brief:
        for registry in (brief, guarded):
            ask = connect(registry).ask
            token = registry.issue_token("repository:team/app:pull,push")
            assert ask("POST", UPLOADS, Authorization=f"Bearer {token}").status == 202
            if registry is brief:
                time.sleep(0.06)
            else:
                registry.expire_tokens()
            reply = ask("POST", UPLOADS, Authorization=f"Bearer {token}")
            assert challenge(reply)["error"] == "invalid_token"


# -- what goes wrong -----------------------------------------------------------------------------------

BLOB = f"/v2/team/app/blobs/{DIGEST}"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault(code="DENIED"), 403, "DENIED"),
        (Fault(code="NAME_UNKNOWN", status=400), 400, "NAME_UNKNOWN"),
        (Fault(code="TOOMANYREQUESTS", headers={"Retry-After": "1"}), 429, "TOOMANYREQUESTS"),
    ],
)
def test_an_error_to_order(registry: Registry, client: Client, fault: Fault, status: int, code: str) -> None:
    registry.put_blob("team/app", DATA)
    registry.fail(fault)
    reply = client.ask("GET", BLOB)
    assert (reply.status, reply.code) == (status, code)
    assert fault.headers.items() <= dict(reply.headers).items()
    assert client.ask("GET", BLOB).body == DATA


def test_headers_to_order_are_those_of_the_answer_itself(registry: Registry, client: Client) -> None:
    registry.put_blob("team/app", DATA)
    wrong = str(Digest.of(b"other"))
    registry.fail(Fault(headers={"Docker-Content-Digest": wrong, "X-More": "1"}))
    reply = client.ask("GET", BLOB)
    assert (reply.status, reply.body, reply.headers["X-More"]) == (200, DATA, "1")
    assert reply.headers.get_all("Docker-Content-Digest") == [wrong]


def test_any_answer_to_order(registry: Registry, client: Client) -> None:
    page = b"<html>Bad gateway</html>"
    registry.fail(Fault(status=502, headers={"Content-Type": "text/html"}, body=page))
    reply = client.ask("PUT", "/v2/team/app/manifests/v1", json_of(), Content_Type=MANIFEST)
    assert (reply.status, reply.headers["Content-Type"], reply.body) == (502, "text/html", page)
    assert registry.tags("team/app") == []


@pytest.mark.parametrize(
    ("fault", "stated", "body"),
    [
        (Fault(cut_response=0), len(DATA), b""),
        (Fault(cut_response=1000), len(DATA), DATA[:1000]),
        (Fault(truncate=1000), 1000, DATA[:1000]),
        (Fault(truncate=1000, cut_response=10), 1000, DATA[:10]),
        (Fault(flip=500), len(DATA), DATA[:500] + bytes([DATA[500] ^ 0xFF]) + DATA[501:]),
        (Fault(flip=6000, rate=100_000), len(DATA), DATA[:6000] + bytes([DATA[6000] ^ 0xFF]) + DATA[6001:]),
        (Fault(length=100), len(DATA) + 100, DATA),
        (Fault(length=-100), len(DATA) - 100, DATA[:-100]),
        (Fault(rate=1_000_000), len(DATA), DATA),
    ],
)
def test_a_body_that_is_not_what_it_should_be(
    registry: Registry, client: Client, fault: Fault, stated: int, body: bytes
) -> None:
    """Each for one answer: the next is sound."""
    registry.put_blob("team/app", DATA)
    registry.fail(fault)
    client.connection.request("GET", BLOB)
    answer = client.connection.getresponse()
    assert answer.headers["Content-Length"] == str(stated)
    if stated > len(body):
        with pytest.raises(http.client.IncompleteRead) as cut:
            answer.read()
        assert cut.value.partial == body
    else:
        assert answer.read() == body
    client.connection.close()
    assert client.ask("GET", BLOB).body == DATA


def test_more_bytes_than_were_stated_are_sent(registry: Registry) -> None:
    registry.put_blob("team/app", DATA)
    registry.fail(Fault(length=-100))
    with socket.create_connection(registry.host.split(":")) as raw:  # type: ignore[arg-type]
        raw.sendall(f"GET {BLOB} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = b"".join(iter(lambda: raw.recv(1 << 16), b""))
    assert received.endswith(DATA)


def test_what_arrived_of_a_request_that_is_cut_is_kept(registry: Registry, client: Client) -> None:
    at = client.upload()
    registry.fail(Fault(method="PATCH", cut_request=1234))
    with pytest.raises(ConnectionError):
        client.ask("PATCH", at, DATA)
    assert client.ask("GET", at).headers["Range"] == "0-1233"
    (cut,) = (asked for asked in registry.requests if asked.method == "PATCH")
    assert (cut.status, cut.received) == (None, 1234)


def test_a_manifest_that_is_cut_does_not_count(registry: Registry, client: Client) -> None:
    for cut in (0, 10, len(json_of()), 10_000):
        registry.fail(Fault(cut_request=cut))
        with pytest.raises(ConnectionError):
            client.ask("PUT", "/v2/team/app/manifests/v1", json_of(), Content_Type=MANIFEST)
    assert registry.tags("team/app") == []


def test_an_answer_that_is_lost_was_done(registry: Registry, client: Client) -> None:
    registry.fail(Fault(method="PUT", lost=True))
    with pytest.raises(ConnectionError):
        client.ask("PUT", "/v2/team/app/manifests/v1", json_of(), Content_Type=MANIFEST)
    assert registry.tags("team/app") == ["v1"]


def test_a_redirect_leads_to_the_same_path_elsewhere(registry: Registry, client: Client) -> None:
    with Registry() as other:
        registry.fail(Fault(path="/blobs/", redirect=other.url))
        reply = client.ask("GET", f"{BLOB}?x=1")
        assert (reply.status, reply.headers["Location"]) == (307, f"{other.url}{BLOB}?x=1")


@pytest.mark.parametrize("fault", [Fault(delay=0.2), Fault(rate=5 * len(DATA))], ids=["delay", "rate"])
def test_a_slow_answer_takes_its_time(registry: Registry, client: Client, fault: Fault) -> None:
    registry.put_blob("team/app", DATA)
    registry.fail(fault)
    start = time.monotonic()
    assert client.ask("GET", BLOB).body == DATA
    assert time.monotonic() - start >= 0.15


def test_a_slow_registry_takes_its_time_with_what_it_is_sent(registry: Registry, client: Client) -> None:
    at = client.upload()
    registry.fail(Fault(rate=5 * len(DATA)))
    start = time.monotonic()
    assert client.ask("PATCH", at, DATA).status == 202
    assert time.monotonic() - start >= 0.15


def test_a_registry_that_hangs_is_stopped_all_the_same() -> None:
    with Registry() as registry:
        registry.fail(Fault(delay=3600))
        client = Client(registry)
        client.connection.request("GET", "/v2/")
        start = time.monotonic()
    with pytest.raises(ConnectionError):
        client.connection.getresponse()
    client.connection.close()
    assert time.monotonic() - start < 5


def statuses(client: Client, *asked: tuple[str, str]) -> list[int]:
    return [client.ask(method, path).status for method, path in asked]


def test_a_fault_is_for_what_it_names_and_for_as_long_as_it_says(registry: Registry, client: Client) -> None:
    registry.fail(Fault(method="GET|HEAD", path="/tags/", skip=1, times=2, status=503))
    tags = ("GET", "/v2/team/app/tags/list?n=5")
    blob = ("GET", BLOB)
    assert statuses(client, tags, blob, tags, blob, tags, tags) == [404, 404, 503, 404, 503, 404]
    registry.fail(Fault(method="GE", status=503), Fault(path="n=5$", times=None, status=500))
    assert statuses(client, tags, blob, tags, tags) == [500, 404, 500, 500]
    registry.heal()
    assert statuses(client, tags) == [404]


def test_every_fault_counts_what_matches_it(registry: Registry, client: Client) -> None:
    registry.fail(*(Fault(skip=skip, status=500 + skip) for skip in (0, 2, 3)))
    assert statuses(client, *[("GET", "/v2/")] * 5) == [500, 200, 502, 503, 200]


def test_something_happens_before_a_request_is_served(guarded: Registry) -> None:
    client = Client(guarded)
    token = guarded.issue_token("repository:team/app:pull,push")
    guarded.fail(Fault(method="PATCH", before=guarded.expire_tokens))
    at = client.ask("POST", UPLOADS, Authorization=f"Bearer {token}").headers["Location"]
    assert client.ask("PATCH", at, DATA, Authorization=f"Bearer {token}").status == 401
    client.connection.close()


@pytest.mark.parametrize("keep", [True, False])
def test_a_restart_loses_uploads_unless_they_are_kept(
    registry: Registry, client: Client, *, keep: bool
) -> None:
    registry.put_image("team/app:v1", IMAGE)
    host, at = registry.host, client.upload()
    client.ask("PATCH", at, DATA[:100])
    registry.restart(keep_uploads=keep)
    with pytest.raises(ConnectionError):
        client.ask("GET", at)
    reply = client.ask("GET", at)
    assert (reply.status, reply.headers.get("Range")) == ((204, "0-99") if keep else (404, None))
    assert (registry.host, registry.tags("team/app")) == (host, ["v1"])


def test_a_registry_restarts_in_the_middle_of_a_request(registry: Registry, client: Client) -> None:
    registry.fail(Fault(method="PUT", before=registry.restart))
    with pytest.raises(ConnectionError):
        client.ask("PUT", "/v2/team/app/manifests/v1", json_of(), Content_Type=MANIFEST)
    assert registry.tags("team/app") == []
    deadline = time.monotonic() + 5
    while True:
        try:
            assert client.ask("GET", "/v2/").status == 200
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline


def test_a_registry_that_is_stopped_does_not_listen(registry: Registry, client: Client) -> None:
    registry.stop()
    with pytest.raises(ConnectionRefusedError):
        client.ask("GET", "/v2/")
    registry.start()
    assert client.ask("GET", "/v2/").status == 200


# -- what was asked ------------------------------------------------------------------------------------


def test_requests_are_remembered_with_their_bytes(registry: Registry, client: Client) -> None:
    registry.put_blob("team/app", DATA)
    client.ask("GET", f"{BLOB}?x=1", Authorization=ME)
    client.ask("HEAD", BLOB)
    client.ask("POST", f"{UPLOADS}?digest={Digest.of(b'abc')}", b"abc")
    first, second, third = registry.requests
    assert (first.method, first.path, first.status) == ("GET", f"{BLOB}?x=1", 200)
    assert (first.received, first.sent, first.authorization) == (0, len(DATA), ME)
    assert (second.sent, second.authorization) == (0, "")
    assert (third.status, third.received) == (201, 3)
    assert ME not in repr(first)
    registry.clear_requests()
    assert registry.requests == ()


def test_a_request_is_remembered_when_its_answer_is_there(registry: Registry) -> None:
    """From many threads at once."""

    def ask(number: int) -> tuple[Exchange, ...]:
        client = Client(registry)
        client.ask("GET", f"/v2/?{number}")
        client.connection.close()
        return tuple(asked for asked in registry.requests if asked.path.endswith(f"?{number}"))

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, range(100)))
    assert [len(asked) for asked in found] == [1] * 100


def test_a_fault_is_remembered_with_the_request_that_it_was_for(registry: Registry, client: Client) -> None:
    fault = Fault(status=500)
    registry.fail(fault)
    statuses(client, ("GET", "/v2/"), ("GET", "/v2/"))
    assert [asked.fault for asked in registry.requests] == [fault, None]


def test_a_refusal_reaches_a_client_that_is_still_sending(registry: Registry, client: Client) -> None:
    """The connection is given up, since nobody reads what is left."""
    at = client.upload()
    registry.fail(Fault(method="PATCH", status=429))
    reply = client.ask("PATCH", at, bytes(5_000_000))
    assert (reply.status, reply.headers["Connection"]) == (429, "close")
    assert client.ask("GET", at).headers["Range"] == "0-0"


# -- images --------------------------------------------------------------------------------------------


def test_an_image_is_always_the_same() -> None:
    assert make_image().digest == make_image([{"etc/motd": b"hello"}]).digest
    assert make_image().digest != make_image([{"etc/motd": b"other"}]).digest


def parts(image: MadeImage) -> tuple[dict[str, Any], dict[str, Any], list[bytes]]:
    """Manifest, configuration and layers, each found by the digest that names it."""
    blobs = {str(Digest.of(blob)): blob for blob in image.blobs}
    manifest = json.loads(image.manifest)
    named = [manifest["config"], *manifest["layers"]]
    assert [one["size"] for one in named] == [len(blobs[one["digest"]]) for one in named]
    config, *layers = (blobs[one["digest"]] for one in named)
    return manifest, json.loads(config), layers


def test_a_layer_has_files_links_and_directories() -> None:
    image = make_image([{"usr/bin/": b"", "bin": "usr/bin", "usr/bin/tool": b"#!"}, b"a tar archive"])
    _, config, (first, second) = parts(image)
    with tarfile.open(fileobj=io.BytesIO(first), mode="r:gz") as archive:
        assert [(member.name, member.type) for member in archive] == [
            ("bin", tarfile.SYMTYPE),
            ("usr/bin", tarfile.DIRTYPE),
            ("usr/bin/tool", tarfile.REGTYPE),
        ]
        assert archive.getmember("bin").linkname == "usr/bin"
        assert archive.getmember("usr/bin/tool").mode == 0o755
    assert gzip.decompress(second) == b"a tar archive"
    diff_ids = [str(Digest.of(gzip.decompress(layer))) for layer in (first, second)]
    assert config["rootfs"]["diff_ids"] == diff_ids


def test_an_image_says_what_it_is_told() -> None:
    image = make_image(
        platform="linux/arm/v7", config={"User": "1000"}, annotations={"a": "b"}, compressed=False
    )
    manifest, config, (layer,) = parts(image)
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm", "v7")
    assert (config["config"], manifest["annotations"]) == ({"User": "1000"}, {"a": "b"})
    assert manifest["layers"][0]["mediaType"] == "application/vnd.oci.image.layer.v1.tar"
    assert str(Digest.of(layer)) == config["rootfs"]["diff_ids"][0]


def test_an_image_can_be_docker_s() -> None:
    image = make_image(docker=True)
    manifest, _, _ = parts(image)
    assert manifest["mediaType"] == image.media_type
    index = make_index([image], docker=True)
    kinds = {image.media_type, index.media_type, *(one["mediaType"] for one in manifest["layers"])}
    assert all(kind.startswith("application/vnd.docker.") for kind in kinds)


def test_an_index_is_put_with_its_images(registry: Registry) -> None:
    images = [make_image(platform=platform) for platform in ("linux/amd64", "linux/arm64")]
    digest = registry.put_image("team/app:v1", make_index(images))
    index = registry.manifest("team/app", "v1")
    assert (index.digest, index.media_type) == (digest, INDEX)
    for image, named in zip(images, index.document["manifests"], strict=True):
        assert registry.manifest("team/app", named["digest"]).data == image.manifest
        assert named["platform"] == image.platform
    assert registry.tags("team/app") == ["v1"]
