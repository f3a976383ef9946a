"""Each layer of flyte 2 means what it means there, or is refused by its name; shown with flyte's own images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.flytes import ROOT, VERSIONS, Flyte

pytestmark = pytest.mark.integration

NEWEST = VERSIONS[-1]

PYPROJECT = """\
[project]
name = "demo"
version = "1.0"
requires-python = ">=3.10"
dependencies = ["six"]
"""
SCRIPT = """\
# /// script
# requires-python = ">=3.8"
# dependencies = ["six", "idna"]
# ///
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flyte")
    files = {
        "a.txt": "six\n", "b.txt": "idna\n", "pyproject.toml": PYPROJECT, "uv.lock": "version = 1\n", "script.py": SCRIPT,
        "old.py": SCRIPT.replace(">=3.8", "<3.0"), "sources.py": SCRIPT.replace("# ///\n", "# [tool.uv.sources]\n# ///\n"),
        "none.py": "", "poetry.lock": '[metadata]\nlock-version = "2.1"\n', "with/uv.lock": 'name = "flyte"\n',
        "with/pyproject.toml": PYPROJECT,
        "code/main.py": "", "code/pkg/x.py": "", "code/big.log": "", "ignore": "*.log\n", "pixi.toml": "", "Dockerfile": "",
    }  # fmt: skip
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


def translated(
    folder: Path, images: list[str], version: str = NEWEST, **environ: str
) -> list[dict[str, Any]]:
    return Flyte(version, folder, environ).translate(images)


def some(stages: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return [{name: stage[name] for name in names} for stage in stages]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_default_base_is_ours_with_the_flyte_that_was_asked_for(folder: Path, version: str) -> None:
    images = [
        "Image.from_debian_base(name='demo', python_version=(3, 12)).with_pip_packages('six')",
        "Image.from_debian_base(name='demo', flyte_version='2.1.0').with_env_vars({'A': 'b'})",
        "debian.with_pip_packages('six')",
    ]
    newest, asked, without = (one["stages"][0] for one in translated(folder, images, version))
    assert (newest["base"], newest["python"]) == (None, "3.12")
    assert newest["packages"] == [f"flyte=={version}", "six"]
    assert asked["packages"] == ["flyte==2.1.0"]
    assert without["packages"] == ["six"]
    assert without["apt"] is None
    assert without["env"]["PYTHONPATH"] == "/root"
    assert without["workdir"] == ("/root" if version == "2.0.0" else "/home/flyte")


def test_any_other_base_is_the_image_that_it_names(folder: Path) -> None:
    based = "Image.from_base({!r}).clone(name='demo', extendable=True, python_version=(3, 11)).with_pip_packages('six')"
    pinned = "ghcr.io/flyteorg/flyte:py3.11-v2.1.0@sha256:" + 64 * "a"
    answers = translated(folder, [based.format("ubuntu:24.04"), based.format(pinned)])
    assert [one["stages"][0]["base"] for one in answers] == ["ubuntu:24.04", pinned]
    assert [one["stages"][0]["packages"] for one in answers] == [["six"], ["six"]]


ELSEWHERE = (
    "index_url='https://a.example/simple', extra_index_urls=['https://b.example/simple'], pre=True,"
    " extra_args='--no-deps'"
)
# Layers, and what of the stages they come to.
SERVED: list[tuple[str, list[dict[str, Any]]]] = [
    ("debian.with_pip_packages('six').with_pip_packages('idna')", [{"packages": ["six", "idna"]}]),
    (
        f"debian.with_pip_packages('six').with_pip_packages('idna', {ELSEWHERE})",
        [
            {"packages": ["six"], "index": None},
            {"packages": ["idna"], "index": "https://a.example/simple", "extra": ["https://b.example/simple"],
             "words": "--pre --no-deps"},
        ],
    ),
    (
        "debian.with_pip_packages('six', index_url='https://me:$TOKEN@a.example/simple', secret_mounts='TOKEN')",
        [{"index": "https://me:canary@a.example/simple"}],
    ),
    (
        "debian.with_requirements('a.txt').with_pip_packages('attrs').with_requirements(Path('b.txt'))",
        [{"packages": ["attrs"], "requirements": ["requirements", "a.txt", "b.txt"]}],
    ),
    ("debian.with_uv_project('pyproject.toml')", [{"requirements": ["uv.lock", "pyproject.toml"]}]),
    (
        "debian.with_uv_project('pyproject.toml', extra_args='--extra x').with_pip_packages('six')",
        [{"requirements": ["uv.lock", "pyproject.toml"], "words": "--extra x"}, {"packages": ["six"]}],
    ),
    (
        "clone(UVProject(pyproject=Path('pyproject.toml')))",
        [{"requirements": ["pyproject.toml"]}],
    ),
    (
        "debian.with_poetry_project('pyproject.toml', extra_args='--no-root')",
        [{"requirements": ["poetry.lock", "pyproject.toml"]}],
    ),
    (
        "Image.from_debian_base(name='demo').with_uv_project('with/pyproject.toml')",
        [{"packages": None, "requirements": ["with/uv.lock", "with/pyproject.toml"]}],
    ),
    ("Image.from_uv_script('script.py', name='demo')", [{"packages": ["six", "idna"]}]),
    (
        "debian.with_pip_packages('six').with_apt_packages('git').with_apt_packages('curl')",
        [{"packages": ["six"], "apt": ["git", "curl"]}],
    ),
    (
        "debian.with_env_vars({'A': '1', 'B': '$A'}).with_env_vars({'A': '${A}2', 'PATH': '/x:$PATH'})",
        [{"env": {"VIRTUAL_ENV": "/opt/venv", "PYTHONPATH": "/root", "UV_LINK_MODE": "copy", "A": "12", "B": "1",
                  "PATH": "/x:$PATH"}}],
    ),
    (
        "debian.with_workdir('/app').with_workdir('sub').with_source_file(Path('a.txt'))",
        [{"workdir": "/app/sub", "files": ["/app/sub/a.txt"], "folders": ["/app", "/app/sub"]}],
    ),
    (
        "debian.with_source_folder(Path('code'), dst='/app').with_source_folder(Path('code/pkg'))",
        [{"files": ["/app/big.log", "/app/main.py", "/app/pkg/x.py", "/home/flyte/pkg/x.py"]}],
    ),
    (
        "debian.with_source_folder(Path('code')).with_dockerignore(Path('ignore'))",
        [{"files": ["/home/flyte/code/main.py", "/home/flyte/code/pkg/x.py"]}],
    ),
    (
        "reduce(lambda image, at: image.with_source_file(Path('a.txt'), dst=at), ['/etc/', '/root', '/x/b'], debian)",
        [{"files": ["/etc/a.txt", "/root/a.txt", "/x/b"]}],
    ),
    (
        "clone(CodeBundleLayer(copy_style='loaded_modules', root_dir=Path('.')))",
        [{"files": []}],
    ),
    (
        "debian.with_commands(['cd /tmp', 'x']).with_env_vars({'A': '1'})",
        [{"commands": ["(cd /home/flyte\ncd /tmp\n)", "(cd /home/flyte\nx\n)"],
          "command_env": {"VIRTUAL_ENV": "/opt/venv", "PYTHONPATH": "/root", "UV_LINK_MODE": "copy"}}],
    ),
    # What could be told from another order stays in its own.
    (
        "debian.with_commands(['x']).with_pip_packages('six').with_commands(['y']).with_source_file(Path('a.txt'))",
        [{"commands": ["(cd /home/flyte\nx\n)"], "packages": None},
         {"commands": ["(cd /home/flyte\ny\n)"], "packages": ["six"]}, {"files": ["/home/flyte/a.txt"]}],
    ),
    ("debian.with_commands(['x']).with_apt_packages('git')", [{"apt": None}, {"apt": ["git"], "commands": None}]),
    (
        "debian.with_commands(['x']).with_env_vars({'A': '1'}).with_commands(['y'])",
        [{"env": {}}, {"commands": ["(cd /home/flyte\ny\n)"]}],
    ),
    (
        "debian.with_source_file(Path('a.txt'), dst='/usr/share/a').with_apt_packages('git')",
        [{"files": ["/usr/share/a"]}, {"apt": ["git"]}],
    ),
]  # fmt: skip


def test_each_layer_is_said_in_our_words(folder: Path) -> None:
    answers = translated(folder, [image for image, _ in SERVED], TOKEN="canary")
    for (image, expected), answer in zip(SERVED, answers, strict=True):
        stages = answer.get("stages", answer)
        assert len(stages) == len(expected), (image, answer)
        for stage, wanted in zip(stages, expected, strict=True):
            assert {name: stage[name] for name in wanted} == wanted, image


def test_what_an_image_stands_on_is_named_by_what_it_is_made_of(folder: Path) -> None:
    """Two images that begin alike share it, and the image itself has the name that flyte gave it."""
    begun = "debian.with_commands(['x'])"
    one, other = (
        answer["stages"]
        for answer in translated(
            folder, [f"{begun}.with_pip_packages('six')", f"{begun}.with_pip_packages('idna')"]
        )
    )
    assert one[0]["name"] == other[0]["name"]
    assert one[0]["name"].startswith("127.0.0.1:5000/demo:flyte-")
    assert one[1]["name"] != other[1]["name"]


PIXI = "layer PixiProject is not served"
REFUSED = [
    ("Image.from_dockerfile(Path('Dockerfile'), registry='r.example', name='demo')", "made from a Dockerfile"),
    ("clone(PythonWheels(wheel_dir=Path('.'), package_name='x'))", "layer PythonWheels installs wheels of this disk"),
    ("clone(_DockerLines(('RUN x',)))", "layer _DockerLines has lines of a Dockerfile"),
    ("clone(FromTomorrow())", "layer FromTomorrow is not known to this builder"),
    ("debian.with_pixi_project('pixi.toml')", PIXI),
    ("clone(PixiScript(script=Path('script.py')))", "layer PixiScript is not served"),
    ("debian.with_commands(['x'], secret_mounts='TOKEN')", "layer Commands has secret_mounts="),
    ("debian.with_apt_packages('git', secret_mounts='TOKEN')", "layer AptPackages has secret_mounts="),
    ("debian.with_uv_project('pyproject.toml', project_install_mode='install_project')", "layer UVProject has project_install_mode="),
    ("debian.with_poetry_project('pyproject.toml', project_install_mode='install_project')", "layer PoetryProject has project_install_mode="),
    ("debian.with_pip_packages('six', secret_mounts='NOWHERE')", "the secret 'NOWHERE' is neither the variable NOWHERE nor"),
    ("debian.with_pip_packages('six', index_url='https://$UNSET@a.example')", "names the variable UNSET"),
    ("debian.with_pip_packages('six', secret_mounts=Secret('TOKEN', as_env_var='UV_INDEX_A_PASSWORD'))", "set UV_INDEX_A_PASSWORD where"),
    ("debian.with_pip_packages('six', extra_args='--target /x')", "extra_args has '--target'"),
    ("debian.with_pip_packages('-e .')", "options among packages are not served"),
    ("debian.with_env_vars({'UV_INDEX_URL': 'https://a.example'}).with_pip_packages('six')", "the variable UV_INDEX_URL of an earlier layer"),
    ("Image.from_uv_script('old.py', name='demo')", "the script needs Python <3.0, and the image has"),
    ("Image.from_uv_script('sources.py', name='demo')", "the script says sources to uv"),
    ("Image.from_uv_script('none.py', name='demo')", "has 0 blocks '# /// script'"),
    ("debian.with_requirements('missing.txt')", "no such file: "),
    ("debian.with_dockerignore(Path('missing'))", "the layer DockerIgnore: "),
    ("clone(CodeBundleLayer(copy_style='all'))", "layer CodeBundleLayer has no root_dir"),
    ("clone(MoreApt(packages=('git',), suite='sid'))", "layer AptPackages has suite='sid'"),
]  # fmt: skip


def test_what_is_not_served_is_refused_by_name(folder: Path) -> None:
    answers = translated(folder, [image for image, _ in REFUSED], TOKEN="canary")
    for (image, message), answer in zip(REFUSED, answers, strict=True):
        assert message in answer.get("error", answer), image
        assert "canary" not in answer["error"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_page_about_it_does_what_it_shows(folder: Path, version: str) -> None:
    Flyte(version, folder).succeed("python", "-m", "doctest", str(ROOT / "docs" / "flyte2.md"))


def test_all_that_is_not_served_is_told_at_once(folder: Path) -> None:
    (answer,) = translated(
        folder, ["debian.with_pixi_project('pixi.toml').with_commands(['x'], secret_mounts='TOKEN')"]
    )
    assert PIXI in answer["error"]
    assert "layer Commands has secret_mounts=" in answer["error"]
