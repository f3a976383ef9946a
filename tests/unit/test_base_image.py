"""Images on a base image, end to end: a tiny base in the registry for tests, packages from loopback."""

from __future__ import annotations

import json
import tarfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from tests.case import Case

from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.oci import DOCKER_MANIFEST, LAYER_GZIP, MANIFEST
from taskimage.testing import Files, MadeImage, Registry, make_image, make_index
from taskimage.transform.base import BaseLayer, BaseTree, read_base

PYTHON = b"\x7fELF\x003.11.9\0"
LIBC = b"\0GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n\0"
GLIBC: Files = {
    "lib": "usr/lib", "lib64": "usr/lib64", "usr/lib64/ld-linux-x86-64.so.2": b"",
    "usr/lib64/libc.so.6": LIBC,
}  # fmt: skip
SYSTEM: Files = {
    **GLIBC,
    "etc/os-release": b"ID=fedora\nPRETTY_NAME='Fedora Linux'\n",
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": b"root:x:0:\n",
}
METADATA = "usr/local/lib/python3.11/site-packages/{0}-{1}.dist-info/METADATA"


def base(files: Files, **more: Any) -> MadeImage:
    """A base of two layers, with glibc, passwd and ``files``."""
    return make_image([SYSTEM, files], **more)


def with_python(*distributions: str) -> dict[str, bytes | str]:
    """CPython 3.11.9 under /usr/local with ``NAME VERSION`` installed."""
    files: dict[str, bytes | str] = {"usr/local/bin/python3.11": PYTHON}
    for name, version in (text.split() for text in distributions):
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        files[METADATA.format(name, version)] = text.encode()
    return files


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as started:
        yield started


@pytest.fixture
def based(case: Case, registry: Registry) -> Case:
    """A case whose spec has a base image in the registry, and goes there."""
    registry.put_image("base:v1", base(with_python("demo 1.0", "other 2.0")))
    case.spec(base_image=f"{registry.host}/base:v1", registry=registry.host, apt_packages=[])
    return case


def manifest(registry: Registry, reference: str) -> dict[str, Any]:
    """The manifest of a reference that a build printed."""
    name, _, digest = reference.partition("@")
    repository = name.removeprefix(f"{registry.host}/").rpartition(":")[0]
    document: dict[str, Any] = json.loads(registry.manifest(repository, digest).data)
    return document


def config(registry: Registry, document: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that a manifest names."""
    parsed: dict[str, Any] = json.loads(
        registry.blobs[Digest.parse(document["config"]["digest"])].read_bytes()
    )
    return parsed


def members(registry: Registry, document: Mapping[str, Any]) -> dict[str, bytes]:
    """Every file and link of an image's layers, the upper ones winning, without what their whiteouts hide."""
    found: dict[str, bytes] = {}
    for described in document["layers"]:
        layer: dict[str, bytes] = {}
        with tarfile.open(registry.blobs[Digest.parse(described["digest"])]) as archive:
            for member in archive:
                if member.isreg():
                    stream = archive.extractfile(member)
                    assert stream is not None
                    layer[member.name] = stream.read()
                elif member.issym():
                    layer[member.name] = f"-> {member.linkname}".encode()
        for path in [path for path in layer if "/.wh." in path]:
            del layer[path]
            hidden = path.removesuffix(".wh..wh..opq").replace("/.wh.", "/")
            for old in [old for old in found if old == hidden or old.startswith(f"{hidden.rstrip('/')}/")]:
                del found[old]
        found |= layer
    return found


def test_the_lock_pins_the_base_by_digest_and_names_what_serves_of_it(
    based: Case, registry: Registry
) -> None:
    based.lock()
    text = based.lock_path.read_text()
    digest = registry.manifest("base", "v1").digest
    assert (
        f'base-image = {{ name = "{registry.host}/base:v1", digest = "{digest}", manifest = "{digest}"'
        in text
    )
    assert 'glibc = "2.36"' in text
    assert '    "demo 1.0",\n' in text
    assert "other 2.0" not in text, "nobody asks for it"
    assert 'version = "3.11.9", source = "base", path = "/usr/local/bin/python3.11"' in text
    assert "wheels = []" in text


def test_a_tag_that_moves_leaves_a_locked_build_alone_until_an_upgrade(
    based: Case, registry: Registry
) -> None:
    based.lock()
    reference = based.build()
    registry.put_image("base:v1", base(with_python("demo 1.0"), config={"Env": ["NEW=1"]}))
    assert based.build() == reference
    assert based.run("lock", str(based.spec_path), "-U")[0] == 0
    assert based.build() != reference


def test_the_layers_of_the_base_are_below_bit_for_bit_and_mounted(based: Case, registry: Registry) -> None:
    document = manifest(registry, based.build())
    below = json.loads(registry.manifest("base", "v1").data)["layers"]
    assert [one["digest"] for one in document["layers"][:2]] == [one["digest"] for one in below]
    mounted = [one for one in registry.requests if "mount=" in one.path and one.status == 201]
    assert len(mounted) == len(below)


def test_what_the_base_starts_with_stays_and_ours_comes_first(based: Case, registry: Registry) -> None:
    env = ["PATH=/opt/cuda/bin:/usr/bin", "CUDA=12", "PYTHONHOME=/elsewhere", "PYTHONPATH=/theirs"]
    settings = {
        "Env": env,
        "Labels": {"theirs": "kept"},
        "ExposedPorts": {"80/tcp": {}},
        "OnBuild": ["RUN x"],
    }
    registry.put_image("base:v1", base(with_python("demo 1.0"), config=settings))
    document = manifest(registry, based.build())
    found = config(registry, document)["config"]
    variables = dict(text.split("=", 1) for text in found["Env"])
    assert variables["PATH"].startswith("/opt/venv/bin:/opt/cuda/bin:/usr/bin")
    assert (variables["CUDA"], variables["PYTHONPATH"]) == ("12", "/root")
    assert "PYTHONHOME" not in variables
    assert found["Labels"]["theirs"] == "kept"
    assert found["ExposedPorts"] == {"80/tcp": {}}
    assert "OnBuild" not in found
    assert document["annotations"]["org.opencontainers.image.base.name"] == f"{registry.host}/base:v1"
    assert document["annotations"]["org.opencontainers.image.base.digest"] == str(
        registry.manifest("base", "v1").digest
    )


def test_the_environment_stands_on_the_base_s_python_and_sees_its_packages(
    based: Case, registry: Registry
) -> None:
    files = members(registry, manifest(registry, based.build()))
    assert files["opt/venv/bin/python"] == b"-> /usr/local/bin/python3.11"
    assert b"include-system-site-packages = true" in files["opt/venv/pyvenv.cfg"]


@pytest.mark.parametrize("path", ["/usr/local/bin/python3.11", "/usr/bin/python"])
def test_python_exec_chooses_an_interpreter_of_the_base_by_its_path_or_a_link_to_it(
    case: Case, registry: Registry, path: str
) -> None:
    """Its version is then the image's, whatever runs here."""
    files = {**with_python("demo 1.0"), "usr/bin/python": "/usr/local/bin/python3.11"}
    registry.put_image("base:v1", base(files))
    case.spec(
        base_image=f"{registry.host}/base:v1", registry=registry.host, apt_packages=[], python_exec=path,
        python_version=None,
    )  # fmt: skip
    case.lock()
    assert f'python-exec = "{path}"' in case.lock_path.read_text()
    made = members(registry, manifest(registry, case.build()))
    assert made["opt/venv/bin/python"] == b"-> /usr/local/bin/python3.11"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"python_exec": "/usr/bin/python3"}, "has no CPython there"),
        (
            {"python_exec": "/usr/local/bin/python3.11", "python_version": "3.12"},
            "has CPython 3.11.9 there, and python_version is '3.12'",
        ),
    ],
)
def test_python_exec_that_is_not_there_names_those_that_are(
    based: Case, registry: Registry, fields: dict[str, str], said: str
) -> None:
    based.spec(base_image=f"{registry.host}/base:v1", registry=registry.host, apt_packages=[], **fields)
    complaint = based.fails(7)
    assert said in complaint
    assert "it has /usr/local/bin/python3.11 (3.11.9)" in complaint


def test_what_the_base_has_in_another_version_than_is_wanted_is_installed_above_it(
    based: Case, registry: Registry
) -> None:
    registry.put_image("base:v1", base(with_python("demo 0.9")))
    based.spec(
        base_image=f"{registry.host}/base:v1", registry=registry.host, apt_packages=[], packages=["demo>=1"]
    )
    files = members(registry, manifest(registry, based.build()))
    assert "opt/venv/lib/python3.11/site-packages/demo.py" in files


def test_accounts_of_the_base_stay_and_ours_is_added(based: Case, registry: Registry) -> None:
    files = members(registry, manifest(registry, based.build()))
    assert files["etc/passwd"].startswith(b"root:x:0:0:root:/root:/bin/sh\n")
    assert b"\nflytekit:" in files["etc/passwd"]


def test_a_base_of_docker_s_schema_2_becomes_an_oci_image(based: Case, registry: Registry) -> None:
    registry.put_image("base:v1", base(with_python("demo 1.0"), docker=True))
    assert json.loads(registry.manifest("base", "v1").data)["mediaType"] == DOCKER_MANIFEST
    document = manifest(registry, based.build())
    assert document["mediaType"] == MANIFEST
    assert {one["mediaType"] for one in document["layers"]} == {LAYER_GZIP}


def test_of_an_index_the_image_for_the_platform_is_the_base(based: Case, registry: Registry) -> None:
    amd64 = base(with_python("demo 1.0"))
    arm64 = base({}, platform="linux/arm64")
    index = make_index([arm64, amd64])
    registry.put_image("base:v1", index)
    based.lock()
    text = based.lock_path.read_text()
    assert f'digest = "{index.digest}", manifest = "{amd64.digest}"' in text


def test_several_platforms_become_one_index_on_the_base_s_images(based: Case, registry: Registry) -> None:
    arm64 = make_image(
        [SYSTEM, with_python("demo 1.0"), {"usr/lib/ld-linux-aarch64.so.1": b"", "usr/lib/libc.so.6": LIBC}],
        platform="linux/arm64",
    )
    amd64 = base(with_python("demo 1.0"))
    registry.put_image("base:v1", make_index([amd64, arm64]))
    platforms = "linux/amd64,linux/arm64"
    based.spec(
        base_image=f"{registry.host}/base:v1", registry=registry.host, apt_packages=[], platform=platforms
    )
    based.lock()
    reference = based.build()
    index = manifest(registry, reference)
    assert [one["platform"]["architecture"] for one in index["manifests"]] == ["amd64", "arm64"]
    for one, below in zip(index["manifests"], (amd64, arm64), strict=True):
        document = json.loads(registry.manifest("demo", one["digest"]).data)
        assert document["layers"][0]["digest"] == json.loads(below.manifest)["layers"][0]["digest"]
        assert config(registry, document)["architecture"] == one["platform"]["architecture"]
    registry.clear_requests()
    assert based.build() == reference
    assert len(registry.requests) == 2
    code, out, err = based.run("build", "--no-push", "-o", f"oci:{based.folder}/out", str(based.spec_path))
    assert (code, out.strip().partition("@")[2]) == (0, reference.partition("@")[2]), err
    said = based.fails(2, "build", "--no-push", "-o", "docker-archive:out.tar", str(based.spec_path))
    assert "an archive takes one platform" in said


def test_a_base_from_another_registry_is_streamed_and_only_what_is_missing(
    case: Case, registry: Registry
) -> None:
    with Registry() as elsewhere:
        elsewhere.put_image("base:v1", base(with_python("demo 1.0")))
        case.spec(base_image=f"{elsewhere.host}/base:v1", registry=registry.host, apt_packages=[])
        case.lock()
        case.build()
        case.use_another_store()
        case.spec(
            base_image=f"{elsewhere.host}/base:v1", registry=registry.host, apt_packages=[], env={"A": "b"}
        )
        elsewhere.clear_requests()
        case.build()
        # Its two documents, and none of its layers.
        assert [one.method for one in elsewhere.requests] == ["GET", "GET"]


def test_the_facts_of_a_base_are_read_once(based: Case, registry: Registry) -> None:
    based.lock()
    registry.clear_requests()
    assert based.run("lock", str(based.spec_path), "-U")[0] == 0
    assert not [one for one in registry.requests if "/blobs/" in one.path]


def test_the_layers_of_a_base_are_read_once_for_its_facts_and_for_all_that_is_made(
    based: Case, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its accounts are added to, for which its files are wanted once more."""
    read: list[BaseTree] = []

    def counted(layers: Iterable[BaseLayer], spool: BinaryIO) -> BaseTree:
        read.append(read_base(layers, spool))
        return read[-1]

    monkeypatch.setattr("taskimage.transform.base.read_base", counted)
    based.build()
    assert len(read) == 1


def test_the_files_of_a_base_are_kept_no_longer_than_it_is_locked(
    case: Case, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees: list[weakref.ref[BaseTree]] = []
    left: list[int] = []

    def watched(layers: Iterable[BaseLayer], spool: BinaryIO) -> BaseTree:
        left.append(sum(tree() is not None for tree in trees))
        made = read_base(layers, spool)
        trees.append(weakref.ref(made))
        return made

    monkeypatch.setattr("taskimage.transform.base.read_base", watched)
    paths = []
    for name in ("one", "other"):
        registry.put_image(f"{name}:v1", base(with_python(f"{name} 1.0")))
        case.spec(base_image=f"{registry.host}/{name}:v1", apt_packages=[])
        paths.append(str(case.spec_path.rename(case.folder / f"{name}.yaml")))
    code, _, err = case.run("lock", *paths)
    assert code == 0, err
    assert left == [0, 0]


def test_the_package_index_is_asked_before_any_list_is_read(case: Case, registry: Registry) -> None:
    debian: Files = {
        "etc/os-release": b"ID=debian\nVERSION_CODENAME=bookworm\n",
        "etc/apt/sources.list": f"deb {case.mirror.url} bookworm main\n".encode(),
        "etc/apt/trusted.gpg.d/archive.gpg": (case.folder / "keyring.pgp").read_bytes(),
        "var/lib/dpkg/status": b"Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\nArchitecture: amd64\n",
    }
    registry.put_image("base:v1", base({**with_python(), **debian}))
    case.spec(base_image=f"{registry.host}/base:v1", apt_packages=["tool"])
    assert case.lock_asks_the_index_while_lists_stall()


def test_without_a_registry_the_store_has_the_whole_image(based: Case, registry: Registry) -> None:
    code, out, err = based.run("build", "--no-push", str(based.spec_path))
    assert code == 0, err
    store = Store(based.home)
    document = json.loads(store.read_blob(Digest.parse(out.strip().partition("@")[2])))
    assert all(store.blob_path(Digest.parse(one["digest"])).exists() for one in document["layers"])


def test_where_a_link_of_the_base_leads_elsewhere_our_files_follow(based: Case, registry: Registry) -> None:
    """As on systems whose /opt and /root are links into /var."""
    links: Files = {"opt": "var/opt", "var/opt/there": b""}
    registry.put_image("base:v1", base({**with_python("demo 1.0"), **links}))
    files = members(registry, manifest(registry, based.build()))
    assert "var/opt/venv/pyvenv.cfg" in files
    assert not [path for path in files if path.startswith("opt/")]


@pytest.mark.parametrize(
    ("files", "fields", "said"),
    [
        ({"lib/ld-musl-x86_64.so.1": b""}, {}, "has musl"),
        ({}, {}, "has no C library at all"),
    ],
    ids=["musl", "nothing"],
)
def test_a_base_that_no_wheel_runs_on_says_so(
    case: Case, registry: Registry, files: dict[str, bytes | str], fields: dict[str, Any], said: str
) -> None:
    registry.put_image("base:v1", make_image([{"etc/os-release": b"ID=x\n", **files}]))
    case.spec(base_image=f"{registry.host}/base:v1", apt_packages=[], **fields)
    assert said in case.fails(7)


def test_apt_packages_on_a_base_without_apt_say_why_not(case: Case, registry: Registry) -> None:
    registry.put_image("base:v1", base(with_python("demo 1.0")))
    case.spec(base_image=f"{registry.host}/base:v1", apt_packages=["tool"])
    said = case.fails(7)
    assert "the base image is 'Fedora Linux', which is neither Debian nor Ubuntu" in said


def test_a_base_that_is_not_there_is_not_found(case: Case, registry: Registry) -> None:
    case.spec(base_image=f"{registry.host}/base:v9")
    said = case.fails(3)
    assert f"there is no image '{registry.host}/base:v9'" in said
    assert f"{case.spec_path}:" in said


def test_a_layer_of_the_base_that_is_not_what_its_digest_says_is_refused(
    based: Case, registry: Registry
) -> None:
    below = json.loads(registry.manifest("base", "v1").data)["layers"]
    path = registry.blobs[Digest.parse(below[1]["digest"])]
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    assert below[1]["digest"] in based.fails(6)


def test_spec_s_own_credentials_are_used_for_its_registry(case: Case) -> None:
    with Registry(username="me", password="secret") as closed:
        closed.put_image("base:v1", base(with_python("demo 1.0")))
        case.spec(
            base_image=f"{closed.host}/base:v1",
            registry=closed.host,
            apt_packages=[],
            registry_config="docker.json",
        )
        said = case.fails(2)
        assert "docker.json" in said
        auths = {closed.host: {"username": "me", "password": "secret"}}
        (case.folder / "docker.json").write_text(json.dumps({"auths": auths}))
        assert case.build().startswith(f"{closed.host}/demo:")


def test_a_base_image_is_vendored_with_what_is_known_of_it(
    based: Case, registry: Registry, tmp_path: Path
) -> None:
    based.lock()
    reference = based.build()
    based.use_another_store()
    folder = tmp_path / "vendor"
    code, _, err = based.run("vendor", str(based.spec_path), "-o", str(folder))
    assert code == 0, err
    registry.close()
    based.close()
    code, out, err = based.run("build", "--offline", str(based.spec_path), TASKIMAGE_HOME=str(folder))
    assert (code, out.strip()) == (0, reference), err


# -- on an image of our own --------------------------------------------------------------------------------


SITE = "opt/venv/lib/python3.11/site-packages"


@pytest.fixture
def indexed(based: Case) -> Case:
    """Two versions of lib are on the index, and plugin, which needs it."""
    points = b"[console_scripts]\nlib = lib:main\nold = lib:main\n"
    based.index.add(
        "lib", "1.0",
        files={
            "lib/__init__.py": b"v = 1\n", "lib/old.py": b"", "lib/gone/x.py": b"", "shared/note": b"same",
            "lib-1.0.dist-info/entry_points.txt": points,
        },
    )  # fmt: skip
    less = points.replace(b"old = lib:main\n", b"")
    based.index.add(
        "lib", "0.9", files={"lib/__init__.py": b"v = 0\n", "lib-0.9.dist-info/entry_points.txt": less}
    )
    based.index.add("plugin", "1.0", files={"plugin.py": b"", "shared/note": b"same"}, needs=["lib"])
    return based


def on_base(case: Case, registry: Registry, image: str, **fields: Any) -> None:
    """The spec has ``image`` for its base, and goes to the registry."""
    case.spec(base_image=image, registry=registry.host, apt_packages=[], **fields)


def parent_on(case: Case, registry: Registry, files: Files) -> str:
    """The name of an image with lib 1.0 and plugin 1.0 for Python 3.11, built on a base with ``files``."""
    registry.put_image("base:other", base(files))
    packages = ["lib", "plugin"]
    on_base(case, registry, f"{registry.host}/base:other", name="parent", packages=packages)
    return case.build().partition("@")[0]


def test_what_the_environment_of_a_base_has_counts_as_installed(indexed: Case, registry: Registry) -> None:
    parent = parent_on(indexed, registry, with_python("other 2.0"))
    on_base(indexed, registry, parent, packages=["plugin", "lib>=1", "other"])
    indexed.lock()
    text = indexed.lock_path.read_text()
    rows = "".join(f'    "{row}",\n' for row in ("lib 1.0", "other 2.0", "plugin 1.0"))
    assert f"base-installed = [\n{rows}]\nbase-replaced = []\n" in text
    assert "wheels = []" in text
    files = members(registry, manifest(registry, indexed.build()))
    assert {f"{SITE}/plugin.py", f"{SITE}/lib/old.py", "opt/venv/bin/old"} < files.keys()


def test_of_a_version_that_is_replaced_nothing_is_left(indexed: Case, registry: Registry) -> None:
    parent = parent_on(indexed, registry, with_python())
    on_base(indexed, registry, parent, packages=["lib<1"])
    indexed.lock()
    assert 'base-replaced = [\n    "lib 1.0",\n]\n' in indexed.lock_path.read_text()
    child = indexed.build()
    files = members(registry, manifest(registry, child))
    assert files[f"{SITE}/lib/__init__.py"] == b"v = 0\n"
    assert not [path for path in files if "lib-1.0" in path or path.startswith(f"{SITE}/lib/gone")]
    assert not {f"{SITE}/lib/old.py", "opt/venv/bin/old"} & files.keys()
    # Another distribution has it too.
    assert files[f"{SITE}/shared/note"] == b"same"
    assert {f"{SITE}/plugin.py", f"{SITE}/lib-0.9.dist-info/RECORD", "opt/venv/bin/lib"} < files.keys()
    # And whoever stands on that finds the new one only.
    on_base(indexed, registry, child.partition("@")[0], packages=["lib", "plugin"])
    indexed.lock()
    rows = '    "lib 0.9",\n    "plugin 1.0",\n'
    assert f"base-installed = [\n{rows}]\nbase-replaced = []\n" in indexed.lock_path.read_text()


def test_an_environment_for_another_python_is_hidden_as_a_whole(indexed: Case, registry: Registry) -> None:
    """Here the base has two, and the parent took the other one."""
    other = {"usr/bin/python3.12": PYTHON.replace(b"3.11.9", b"3.12.1")}
    parent = parent_on(indexed, registry, {**with_python(), **other})
    on_base(indexed, registry, parent, python_version="3.12", packages=["lib"])
    code, _, err = indexed.run("lock", str(indexed.spec_path))
    assert code == 0
    assert "the base image's environment at /opt/venv is for another Python: nothing of it is left" in err
    assert "environment-hidden = true" in indexed.lock_path.read_text()
    files = members(registry, manifest(registry, indexed.build()))
    assert files["opt/venv/bin/python"] == b"-> /usr/bin/python3.12"
    assert not [path for path in files if path.startswith("opt/venv/lib/python3.11/")]
    assert "opt/venv/lib/python3.12/site-packages/lib/__init__.py" in files


def test_files_of_an_environment_are_hidden_where_a_link_of_the_base_leads(
    indexed: Case, registry: Registry
) -> None:
    links: Files = {"opt": "var/opt", "var/opt/there": b""}
    parent = parent_on(indexed, registry, {**with_python(), **links})
    on_base(indexed, registry, parent, packages=["lib<1"])
    files = members(registry, manifest(registry, indexed.build()))
    assert f"var/{SITE}/lib-0.9.dist-info/METADATA" in files
    assert not [path for path in files if "lib-1.0" in path or path.startswith("opt/")]
