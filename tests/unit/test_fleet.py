"""Many specs at once: what they share is done once, and what happens to one does not happen to the others."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

import pytest
from tests.case import Case, check_store

from taskimage.adapters import cluster
from taskimage.model.digest import Digest
from taskimage.testing import Fault, Registry

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")

COUNT = 4


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as started:
        yield started


def write(case: Case, *fleet: dict[str, Any]) -> list[str]:
    """A spec for each of ``fleet``, with ``demo`` and ``tool`` and what it says."""
    paths = []
    for number, fields in enumerate(fleet):
        case.spec(name=f"image{number}", **fields)
        paths.append(str(case.spec_path.rename(case.folder / f"image{number}.yaml")))
    return paths


def alike(case: Case, **fields: Any) -> list[str]:
    """Specs that share all but one small package."""
    for number in range(COUNT):
        case.index.add(f"own{number}", "1.0", files={f"own{number}.py": f"x = {number}\n".encode()})
    return write(case, *({"packages": ["demo", f"own{number}"], **fields} for number in range(COUNT)))


def digests(out: str) -> list[str]:
    return [line.partition("@")[2] for line in out.splitlines()]


def fetched(case: Case) -> list[str]:
    """What was fetched of packages, each as often as it was asked for."""
    return [path for path in (*case.mirror.asked, *case.index.asked) if path.endswith((".deb", ".whl"))]


def sent(registry: Registry) -> Counter[str]:
    """How often each blob of an image was sent."""
    ends = [one.path for one in registry.requests if one.method == "PUT" and "/blobs/uploads/" in one.path]
    found = Counter(unquote(path.partition("digest=")[2]) for path in ends)
    del found[str(Digest.of(b"{}"))]  # of what lists the layers of a repository
    return found


def one_by_one(case: Case, paths: Sequence[str], *words: str) -> list[str]:
    """What the same specs come to when each is built alone, in a store of its own."""
    case.use_another_store()
    return [digests(case.run("build", *words, path)[1])[0] for path in paths]


# -- what is done once -------------------------------------------------------------------------------------


def test_many_at_once_are_the_same_images_as_one_by_one_in_the_order_of_the_specs(case: Case) -> None:
    paths = alike(case)
    code, out, err = case.run("build", *paths)
    assert code == 0, err
    assert [line.partition(":")[0] for line in out.splitlines()] == [f"image{n}" for n in range(COUNT)]
    check_store(case.home)
    assert digests(out) == one_by_one(case, paths)


def test_a_package_is_fetched_once_and_a_layer_made_once_for_all_specs(case: Case) -> None:
    paths = alike(case)
    code, _, err = case.run("build", *paths)
    assert code == 0, err
    assert len(fetched(case)) == len(set(fetched(case)))
    assert "own0" in str(fetched(case))
    made = case.home / "records" / "layers"
    together = len(list(made.iterdir()))
    one = [line for line in err.splitlines() if line.startswith("Made ")]
    assert sum(int(line.split()[1]) for line in one) == together


def test_specs_with_one_recipe_read_the_packages_of_debian_once(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layer of system files reads them all; for each spec's own again would cost as much as the base."""
    from taskimage.transform import deb

    read: list[str] = []
    real = deb.read_deb

    def read_deb(*arguments: Any, where: str, **options: Any) -> Any:
        read.append(where)
        return real(*arguments, where=where, **options)

    monkeypatch.setattr(deb, "read_deb", read_deb)
    assert case.run("build", *alike(case))[0] == 0
    assert set(Counter(read).values()) == {1}


def test_a_blob_goes_to_a_registry_once_and_is_mounted_in_its_other_repositories(
    case: Case, registry: Registry
) -> None:
    paths = alike(case, registry=registry.host)
    code, out, err = case.run("build", *paths)
    assert code == 0, err
    assert set(sent(registry).values()) == {1}
    mounted = [one for one in registry.requests if "mount=" in one.path and one.status == 201]
    assert len(mounted) >= COUNT - 1
    for number, digest in enumerate(digests(out)):
        tags = registry.tags(f"image{number}")
        assert digest in {str(registry.manifest(f"image{number}", tag).digest) for tag in tags}


def test_every_registry_gets_a_blob_once(case: Case, registry: Registry) -> None:
    with Registry() as other:
        hosts = [registry.host, other.host]
        paths = write(case, *({"registry": host} for host in hosts for _ in range(2)))
        code, _, err = case.run("build", *paths)
        assert code == 0, err
        for one in (registry, other):
            assert set(sent(one).values()) == {1}


def test_a_layer_is_sent_while_others_are_made(case: Case, registry: Registry) -> None:
    """Where the index keeps a wheel back, the layers of Debian's packages arrive all the same."""
    case.spec(registry=registry.host)
    case.lock()
    case.use_another_store()

    def go_on() -> None:
        case.index.stalls = ""

    registry.fail(Fault(method="PUT", path="/blobs/uploads/", before=go_on, skip=1))
    case.index.stalls = "before"
    assert case.build()


# -- what goes wrong ---------------------------------------------------------------------------------------


def test_one_that_fails_leaves_the_others_alone_and_says_why_in_its_place(case: Case) -> None:
    good, bad, last = write(case, {}, {"packages": ["nowhere"]}, {"env": {"A": "b"}})
    code, out, err = case.run("build", good, bad, last)
    assert code == 3
    assert [line.partition(":")[0] for line in out.splitlines()] == ["image0", "image2"]
    assert err.count("error: ") == 1
    assert "nowhere" in err
    check_store(case.home)


def test_a_layer_that_cannot_be_made_fails_all_that_share_it_with_a_message_each(case: Case) -> None:
    paths = alike(case)
    for path in paths:
        assert case.run("lock", path)[0] == 0
    case.use_another_store()
    (wheel,) = (name for name in case.index.files if name.startswith("demo-") and name.endswith(".whl"))
    case.index.files[wheel] = b"something else"
    code, out, err = case.run("build", *paths)
    assert (code, out) == (6, "")
    assert err.count("error: ") == COUNT
    check_store(case.home)


def test_a_registry_that_refuses_one_repository_gets_the_others(case: Case, registry: Registry) -> None:
    paths = alike(case, registry=registry.host)
    registry.fail(Fault(path="/v2/image1/", method="POST|PUT", status=403, times=None))
    code, out, err = case.run("build", *paths)
    assert (code, len(out.splitlines())) == (4, COUNT - 1), err


# -- elsewhere ---------------------------------------------------------------------------------------------


def live_in(home: str) -> None:
    """This process has its own store."""
    os.environ["TASKIMAGE_HOME"] = home


class Processes:
    """Processes with a store of their own, as a cluster's workers have; they die when they are told to."""

    def __init__(self, home: Path) -> None:
        self.homes = home
        self.sent: list[bytes] = []
        self._pool = ProcessPoolExecutor(
            2,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=live_in,
            initargs=(str(home),),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        self.sent.append(arguments[1])
        return self._pool.submit(function, *arguments)

    def check(self) -> None:
        pass


@pytest.fixture
def workers(case: Case, monkeypatch: pytest.MonkeyPatch) -> Processes:
    """What stands in for a Dask cluster; the integration tests have a real one."""
    found = Processes(case.folder / "worker home")
    monkeypatch.setattr(cluster, "Cluster", lambda _: found)
    return found


ON = "--on=dask:tcp://127.0.0.1:1"


def test_workers_that_share_the_registry_alone_make_the_same_images(
    case: Case, registry: Registry, workers: Processes
) -> None:
    paths = alike(case, registry=registry.host)
    code, out, err = case.run("build", ON, *paths)
    assert code == 0, err
    assert workers.sent
    made = {
        path.name: json.loads(path.read_bytes()) for path in (workers.homes / "records" / "layers").iterdir()
    }
    theirs = made.keys()
    ours = {path.name for path in (case.home / "records" / "layers").iterdir()}
    assert theirs
    assert not theirs & ours
    # Of empty packages several layers are the same, which two workers may send at one moment.
    layers = Counter(record["descriptor"]["digest"] for record in made.values())
    assert {count for digest, count in sent(registry).items() if layers[digest] < 2} == {1}
    assert digests(out) == one_by_one(case, paths, "--no-push")


def test_what_workers_made_is_here_when_it_is_wanted_here(
    case: Case, registry: Registry, workers: Processes, tmp_path: Path
) -> None:
    case.spec(registry=registry.host)
    code, out, err = case.run("build", ON, "-o", f"oci:{tmp_path / 'out'}", str(case.spec_path))
    assert code == 0, err
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert [one["digest"] for one in index["manifests"]] == digests(out)


def test_what_is_not_published_is_not_built_on_a_cluster(case: Case, workers: Processes) -> None:
    said = case.fails(2, "build", ON, str(case.spec_path))
    assert "--registry" in said
    assert not workers.sent


def test_a_login_in_the_address_of_an_index_is_not_sent(
    case: Case, registry: Registry, workers: Processes
) -> None:
    case.spec(registry=registry.host, pip_index=case.index.with_login())
    said = case.fails(2, "build", ON, str(case.spec_path))
    assert "login" in said
    assert not workers.sent


def test_a_worker_of_another_version_is_named_with_ours() -> None:
    from taskimage.model.errors import BadInput
    from taskimage.verbs.job import done

    with pytest.raises(BadInput, match=r"a worker has taskimage .* and this is 9\.9 with format 7"):
        done(("9.9", 7), b"")


@pytest.mark.parametrize(
    "address",
    [
        "tcp://h:1",
        "dask:h:1",
        "dask:tcp://h",
        "dask:tcp://h:x",
        "dask:tcp://:1",
        "dask:http://h:1",
        "ray:h:1",
    ],
)
def test_an_address_that_is_none_is_refused_with_what_one_is(case: Case, address: str) -> None:
    assert "dask:tcp://HOST:PORT" in case.fails(2, "build", "--on", address, str(case.spec_path))


def test_without_the_extra_the_error_says_how_to_get_it(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert "pip install 'taskimage[dask]'" in case.fails(7, "build", ON, str(case.spec_path))
