"""Publishing, end to end: a tiny archive and index as sources, and the registry for tests as the destination."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from typing import Literal
from urllib.request import Request, urlopen

import pytest
from tests.case import Case

from taskimage import BadInput, build, publish
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.testing import Fault, Registry, make_image


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as started:
        yield started


@pytest.fixture
def published(case: Case, registry: Registry) -> Case:
    """A case whose spec names the registry."""
    case.spec(registry=registry.host)
    return case


def asked(registry: Registry) -> list[str]:
    """What the registry was asked, without digests and upload sessions."""
    return [f"{one.method} {re.sub('sha256:.*|uploads/.*', '…', one.path)}" for one in registry.requests]


def test_a_spec_without_a_lock_publishes_flytekit_s_tag(published: Case, registry: Registry) -> None:
    reference = published.build()
    name, _, digest = reference.partition("@")
    tag = name.rpartition(":")[2]
    assert name == f"{registry.host}/demo:{tag}"
    assert str(registry.manifest("demo", tag).digest) == digest
    assert set(registry.tags("demo")) == {tag, "buildcache"}


def test_a_spec_with_a_lock_publishes_two_tags_on_one_manifest(published: Case, registry: Registry) -> None:
    published.lock()
    digest = published.build().partition("@")[2]
    tags = [tag for tag in registry.tags("demo") if tag != "buildcache"]
    assert len(tags) == 2
    assert {str(registry.manifest("demo", tag).digest) for tag in tags} == {digest}


def test_what_is_in_the_registry_is_not_resolved_nor_made_nor_fetched(
    published: Case, registry: Registry
) -> None:
    reference = published.build()
    published.use_another_store()
    published.mirror.asked.clear()
    published.index.asked.clear()
    registry.clear_requests()
    code, out, err = published.run("build", str(published.spec_path))
    assert (code, out.strip()) == (0, reference)
    assert "nothing to do: the registry has this image" in err
    assert published.mirror.asked == published.index.asked == []
    assert asked(registry) == [
        f"GET /v2/demo/manifests/{reference.partition('@')[0].rpartition(':')[2]}",
        "GET /v2/demo/blobs/…",
    ]


def test_with_a_lock_two_requests_tell_that_there_is_nothing_to_do(
    published: Case, registry: Registry
) -> None:
    published.lock()
    reference = published.build()
    published.use_another_store()
    registry.clear_requests()
    code, out, _ = published.run("build", str(published.spec_path))
    assert (code, out.strip()) == (0, reference)
    assert [line.split()[0] for line in asked(registry)] == ["GET", "HEAD"]


def test_who_may_only_pull_is_told_that_there_is_nothing_to_do(case: Case) -> None:
    with Registry(auth="bearer", username="me", password="secret") as registry:
        auths = {registry.host: {"username": "me", "password": "secret"}}
        (case.folder / "docker.json").write_text(json.dumps({"auths": auths}))
        case.spec(registry=registry.host, registry_config="docker.json")
        case.lock()
        reference = case.build()
        registry.clear_requests()
        assert case.build() == reference
        scopes = [one.path for one in registry.requests if "/token" in one.path]
        assert len(scopes) == 1
        assert "push" not in scopes[0]


def test_a_cold_machine_with_a_lock_neither_fetches_nor_makes_what_the_registry_has(
    published: Case, registry: Registry
) -> None:
    published.lock()
    published.build()
    published.use_another_store()
    published.mirror.asked.clear()
    published.index.asked.clear()
    registry.clear_requests()
    published.spec(registry=registry.host, env={"A": "b"})
    code, _, err = published.run("build", str(published.spec_path))
    assert code == 0, err
    assert published.mirror.asked == published.index.asked == []
    assert "Making" not in err
    # The configuration alone is new; no layer is even asked about.
    assert sum("/blobs/sha256:" in one.path for one in registry.requests) == 0
    assert sum(one.method == "POST" for one in registry.requests) == 1


def test_an_edited_file_costs_seven_requests(published: Case, registry: Registry) -> None:
    """The tag, the cache, a layer and a configuration that nobody can have yet, and the manifest."""
    (published.folder / "tasks.py").write_text("1")
    published.spec(registry=registry.host, copy=["tasks.py"])
    published.build()
    (published.folder / "tasks.py").write_text("2")
    registry.clear_requests()
    published.build()
    lines = [re.sub(r"/[^/]*$", "", line) for line in asked(registry)]
    # The two go side by side.
    assert sorted(lines[2:6]) == ["POST /v2/demo/blobs"] * 2 + ["PUT /v2/demo/blobs"] * 2
    assert lines[:2] + lines[6:] == [
        "GET /v2/demo/manifests",
        "GET /v2/demo/manifests",
        "PUT /v2/demo/manifests",
    ]


def test_an_edited_file_imports_nothing_that_other_layers_are_made_with(
    published: Case, registry: Registry
) -> None:
    (published.folder / "tasks.py").write_text("1")
    published.spec(registry=registry.host, copy=["tasks.py"])
    published.build()
    (published.folder / "tasks.py").write_text("2")
    run = f"import sys; from taskimage.cli import main; main(['build', {str(published.spec_path)!r}]); print(*sys.modules)"
    environ = {**os.environ, **published.environ}
    printed = subprocess.run(
        [sys.executable, "-c", run], env=environ, capture_output=True, text=True, check=True
    )
    modules = set(printed.stdout.split())
    assert {"taskimage.verbs.making", "taskimage.transform.layer"} <= modules
    verbs = {
        f"taskimage.verbs.{name}"
        for name in ("base", "compile", "inputs", "job", "make", "overlap", "standin")
    }
    others = {
        "taskimage.transform.deb",
        "taskimage.adapters.credentials",
        "taskimage.adapters.registry.challenge",
        "taskimage.adapters.registry.tokens",
        "taskimage.adapters.specfiles.asked",
        "taskimage.adapters.specfiles.requirementsfile",
        "subprocess",
        "pickle",
        "shlex",
        "sqlite3",
        "isal",
        "rich",
        "yaml",
    }
    assert modules & (verbs | others) == set()


def test_layers_that_the_registry_has_lost_are_made_and_sent(published: Case, registry: Registry) -> None:
    """The cache is a hint: when a manifest is refused for a missing blob, everything is looked up."""
    published.lock()
    published.build()
    cache = json.loads(registry.manifest("demo", "buildcache").data)
    published.use_another_store()
    published.spec(registry=registry.host, env={"A": "b"})
    lost = Digest.parse(cache["layers"][0]["digest"])
    removal = Request(f"http://{registry.host}/v2/demo/blobs/{lost}", method="DELETE")
    urlopen(removal).close()  # noqa: S310 -- of this test's own
    assert lost not in registry.blobs
    code, out, err = published.run("build", str(published.spec_path))
    assert code == 0, err
    assert lost in registry.blobs
    assert str(registry.manifest("demo", out.strip().partition("@")[2]).digest) in out


def test_a_cache_that_lies_is_found_out_by_verify(published: Case, registry: Registry) -> None:
    published.lock()
    published.build()
    cache = json.loads(registry.manifest("demo", "buildcache").data)
    first, second = cache["layers"][:2]
    first["digest"], second["digest"] = second["digest"], first["digest"]
    first["size"], second["size"] = second["size"], first["size"]
    registry.put_manifest("demo", "buildcache", cache["mediaType"], json.dumps(cache).encode())
    published.use_another_store()
    said = published.fails(6, "build", "--verify", str(published.spec_path))
    assert "is known as sha256:" in said
    assert "its inputs give sha256:" in said
    code, _, err = published.run("build", "--no-cache-from", "--force", str(published.spec_path))
    assert code == 0, err


def test_a_tag_that_holds_something_else_is_told_and_moves(published: Case, registry: Registry) -> None:
    published.lock()
    reference = published.build()
    tag = reference.partition("@")[0].rpartition(":")[2]
    registry.put_image(f"demo:{tag}", make_image([{"etc/motd": b"other"}]))
    code, out, err = published.run("build", str(published.spec_path))
    assert (code, out.strip()) == (0, reference)
    assert f"warning: {registry.host}/demo:{tag} is there with other content" in err


def test_without_a_lock_an_image_of_another_builder_is_taken_and_told(
    published: Case, registry: Registry
) -> None:
    """The tag is flytekit's, and means whatever it names, as it does there."""
    tag = published.build().partition("@")[0].rpartition(":")[2]
    digest = registry.put_image(f"demo:{tag}", make_image([{"etc/motd": b"other"}]))
    code, out, err = published.run("build", str(published.spec_path))
    assert (code, out.strip().partition("@")[2]) == (0, str(digest))
    assert "another builder made it: it is taken as it is" in err


def test_a_tag_of_one_s_own_means_what_the_spec_says_now(published: Case, registry: Registry) -> None:
    """Unlike flytekit's, it does not change with the spec; so it moves."""
    words = ("build", "-t", "v1", str(published.spec_path))
    first = published.run(*words)[1]
    assert "nothing to do" in published.run(*words)[2]
    published.spec(registry=registry.host, env={"A": "b"})
    code, second, err = published.run(*words)
    assert (code, "with other content" in err) == (0, True)
    assert second != first
    assert str(registry.manifest("demo", "v1").digest) == second.strip().partition("@")[2]


def test_an_image_for_another_platform_is_not_the_one_that_is_wanted(
    published: Case, registry: Registry
) -> None:
    reference = published.build()
    tag = reference.partition("@")[0].rpartition(":")[2]
    registry.put_image(f"demo:{tag}", make_image([{"etc/motd": b"other"}], platform="linux/arm64"))
    code, out, err = published.run("build", str(published.spec_path))
    assert (code, out.strip()) == (0, reference)
    assert "is there, and not for linux/amd64: building it" in err


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (Fault(path="/manifests/", times=None, code="UNAUTHORIZED"), 4, "answered 401 Unauthorized"),
        (Fault(path="/manifests/", times=None, code="DENIED"), 4, "answered 403 Forbidden: DENIED"),
        (
            Fault(path="/manifests/", times=None, status=429, headers={"Retry-After": "3600"}),
            5,
            "429 Too Many Requests",
        ),
        (
            Fault(
                path="/manifests/",
                times=None,
                status=404,
                body=b"<html>",
                headers={"Content-Type": "text/html"},
            ),
            5,
            "which is not what a registry says",
        ),
        (
            Fault(
                path="/manifests/",
                times=None,
                status=200,
                body=b"<html>",
                headers={"Content-Type": "text/html"},
            ),
            5,
            "which is no image manifest",
        ),
    ],
    ids=["401", "403", "429", "a page for 404", "a page for 200"],
)
def test_when_nobody_can_tell_whether_the_image_exists_nothing_is_built(
    published: Case, registry: Registry, fault: Fault, code: int, said: str
) -> None:
    registry.fail(fault)
    err = published.fails(code)
    assert said in err
    assert registry.host in err
    assert published.mirror.asked == published.index.asked == []


def test_a_push_needs_a_registry(case: Case) -> None:
    assert "it has no registry" in case.fails(2, "build", "--push", str(case.spec_path))


def test_offline_nothing_is_pushed(published: Case, registry: Registry) -> None:
    published.build()
    registry.clear_requests()
    assert published.run("build", "--no-push", str(published.spec_path))[0] == 0
    assert published.run("build", "--offline", str(published.spec_path))[0] == 0
    assert registry.requests == ()
    assert "cannot push offline" in published.fails(
        2, "build", "--push", "--offline", str(published.spec_path)
    )


def test_check_tells_what_a_build_would_find_and_leaves_nothing_behind(
    published: Case, registry: Registry
) -> None:
    code, out, err = published.run("check", str(published.spec_path))
    assert code == 0, err
    assert [line[:7] for line in out.splitlines()][:3] == ["ok     "] * 3
    assert f"registry {registry.host}/demo: takes a push" in out
    assert registry.blobs == {}
    assert [one.method for one in registry.requests if "/uploads/" in one.path] == ["POST", "DELETE"]


def test_check_names_everything_that_a_build_would_lack(case: Case) -> None:
    with Registry(username="me", password="secret") as closed:
        case.spec(registry=closed.host, packages=["nowhere-to-be-found"])
        code, out, _ = case.run("check", str(case.spec_path))
        assert code == 4
        problems = [line for line in out.splitlines() if line.startswith("PROBLEM")]
        assert len(problems) == 2
        assert "takes no push from here" in problems[0]
        assert "Python packages for linux/amd64: cannot all be had" in problems[1]


def test_a_published_image_is_written_too_wherever_its_layers_are(
    published: Case, registry: Registry
) -> None:
    """After a build, on another machine that makes nothing, and when there is nothing to do."""
    published.lock()
    digest = published.build().partition("@")[2]
    for number in range(3):
        if number == 1:
            published.use_another_store()
        code, out, err = published.run(
            "build", "-o", f"oci:{published.folder}/{number}", str(published.spec_path)
        )
        assert (code, out.strip().partition("@")[2]) == (0, digest), err
        layout = Store(published.home, layout=published.folder / str(number))
        document = json.loads(layout.read_blob(Digest.parse(digest)))
        assert all(layout.blob_path(Digest.parse(one["digest"])).exists() for one in document["layers"])


def test_one_spec_gives_one_image_whichever_registry_it_goes_to(case: Case, registry: Registry) -> None:
    """The spec's id, by which a running task knows its image, is that of the spec as it is written."""
    with Registry() as other:
        said = [
            case.run("build", "--registry", one.host, str(case.spec_path))[1].strip()
            for one in (registry, other)
        ]
        assert [one.partition("/")[0] for one in said] == [registry.host, other.host]
        assert len({one.partition("/")[2] for one in said}) == 1


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_a_password_is_in_nothing_that_is_left_of_a_build(
    case: Case, auth: Literal["basic", "bearer"]
) -> None:
    """In no record, blob, lock or line of what is said, neither plain nor encoded; whether it serves or not."""
    canary = "c4n4ry/secret"
    with Registry(auth=auth, username="me", password=canary) as registry:
        registry.put_blob("base", b"")
        case.spec(registry=registry.host, registry_config="docker.json")
        said: list[str] = []
        for password in ("another", canary):
            auths = {registry.host: {"auth": b64encode(f"me:{password}".encode()).decode()}}
            (case.folder / "docker.json").write_text(json.dumps({"auths": auths}))
            case.run("lock", str(case.spec_path))
            said += case.run("build", str(case.spec_path))[1:]
        assert said[2].startswith(registry.host)
        tokens = [one.authorization.partition(" ")[2] for one in registry.requests if one.authorization]
        content = [path.read_bytes() for path in (*case.home.rglob("*"), case.lock_path) if path.is_file()]
        content += [path.read_bytes() for path in registry.blobs.values()]
        everything = b"".join(content) + "".join(said).encode()
        for secret in (canary, b64encode(canary.encode()).decode(), *tokens):
            assert secret.encode() not in everything


def test_a_registry_may_have_an_address_of_ipv6(case: Case) -> None:
    with Registry(address="::1") as registry:
        assert registry.host.startswith("[::1]:")
        assert case.run("build", "--registry", registry.host, str(case.spec_path))[1].startswith(
            registry.host
        )


def test_an_image_of_the_store_is_published_later(
    case: Case, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in case.environ.items():
        monkeypatch.setenv(name, value)
    built = build(case.spec_path, push=False)
    with pytest.raises(BadInput, match="it has no registry"):
        publish(built)
    reference = publish(built, registry=f"{registry.host}/team")
    assert reference.repository == "team/demo"
    assert registry.manifest("team/demo", str(reference.tag)).digest == reference.digest == built.root.digest


def test_a_registry_that_was_not_started_is_soon_told(case: Case) -> None:
    with Registry() as gone:
        case.spec(registry=gone.host)
    begun = time.monotonic()
    said = case.fails(5)
    assert f"{gone.host} refused the connection" in said
    assert "build with --no-push to keep the image in the store" in said
    assert time.monotonic() - begun < 8  # all further attempts would take 12.3 s
