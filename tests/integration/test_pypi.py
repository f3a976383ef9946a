"""Real packages from the machine's own package index, for targets that this machine need not be."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from taskimage.adapters.http import Http
from taskimage.adapters.pypi import PyPI
from taskimage.adapters.specfiles.asked import Asked
from taskimage.adapters.store import Store
from taskimage.model.errors import CannotBuild, NotFound, Unreachable
from taskimage.model.lock import WheelPin
from taskimage.model.oci import Platform

pytestmark = pytest.mark.integration

ML5 = ("numpy", "pandas", "pyarrow", "scikit-learn", "requests")
NATIVE = set(ML5) - {"requests"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store, so that uv's cache is filled once."""
    return Store(tmp_path_factory.mktemp("home"))


@pytest.fixture
def pypi(shared: Store) -> PyPI:
    return PyPI(shared, Http())


def resolve(pypi: PyPI, *packages: str, python: str, platform: str = "linux/amd64") -> dict[str, WheelPin]:
    pins = pypi.resolve(Asked(packages=packages), python=python, platform=Platform.parse(platform)).wheels
    return {pin.name: pin for pin in pins}


@pytest.mark.parametrize("python", ["3.11.2", "3.13.5"])
@pytest.mark.parametrize(("platform", "machine"), [("linux/amd64", "x86_64"), ("linux/arm64", "aarch64")])
def test_the_wheels_of_the_data_world_are_for_the_target(
    pypi: PyPI, python: str, platform: str, machine: str
) -> None:
    pins = resolve(pypi, *ML5, python=python, platform=platform)
    interpreter = "cp" + "".join(python.split(".")[:2])
    for name in NATIVE:
        file = pins[name].file
        assert f"-{interpreter}-" in file or "-abi3-" in file
        assert "manylinux" in file
        assert file.endswith(f"_{machine}.whl")
    assert pins["requests"].file.endswith("-py3-none-any.whl")
    assert {pin.index for pin in pins.values()} == {"pypi"}
    assert all(pin.size > 0 for pin in pins.values())


def test_flytekit_is_refused_on_a_python_that_its_metadata_excludes(pypi: PyPI) -> None:
    with pytest.raises(
        CannotBuild, match=r"flytekit 1\.16\.31 wants Python .*<3\.13.*the image has Python 3\.13\.5"
    ):
        resolve(pypi, "flytekit==1.16.31", python="3.13.5")
    assert len(resolve(pypi, "flytekit==1.16.31", python="3.12.4")) > 50


@pytest.mark.parametrize("package", ["pyspark", "docopt"])
def test_a_package_without_wheels_is_named(pypi: PyPI, package: str) -> None:
    with pytest.raises(CannotBuild, match=rf"no wheel of '{package}' for Python 3\.11\.2 on linux/arm64"):
        resolve(pypi, package, python="3.11.2", platform="linux/arm64")


def test_a_version_without_a_wheel_for_this_python_says_which_there_are(pypi: PyPI) -> None:
    with pytest.raises(CannotBuild, match=r"no wheel of 'tensorflow==2\.12\.0'.*cp311"):
        resolve(pypi, "tensorflow==2.12.0", python="3.13.5")


@pytest.mark.parametrize("package", ["taskimage-no-such-package-x1", "numpy==99.99"])
def test_a_package_or_version_that_is_not_there_is_not_found(pypi: PyPI, package: str) -> None:
    with pytest.raises(NotFound, match=package.partition("=")[0]):
        resolve(pypi, package, python="3.11.2")


def test_the_files_are_fetched_by_a_machine_that_knows_their_names_alone(pypi: PyPI, tmp_path: Path) -> None:
    pins = tuple(resolve(pypi, *ML5, python="3.11.2").values())
    store = Store(tmp_path)
    moved: list[int] = []
    PyPI(store, Http()).fetch(pins, Asked(), moved=moved.append)
    assert sum(moved) == sum(pin.size for pin in pins)
    for pin in pins:
        assert zipfile.is_zipfile(store.input_path(pin.digest))


@pytest.fixture
def private(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A TLS server with a certificate that only the file beside its address vouches for."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate")
    certificate, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    command = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run(
        [openssl, *command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"inside")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("localhost", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_port}/", certificate
    server.shutdown()
    server.server_close()


def test_a_private_authority_is_trusted_when_it_is_named(private: tuple[str, Path]) -> None:
    url, certificate = private
    with pytest.raises(Unreachable, match=r"certificate of localhost.* is not trusted") as caught:
        Http({}).get(url, limit=99)
    assert "SSL_CERT_FILE" in str(caught.value)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        assert Http({name: str(certificate)}).get(url, limit=99) == b"inside"
