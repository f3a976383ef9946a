"""flyte 2 itself builds its images with this builder, and its tasks run in them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from tests.command import Command
from tests.dockerregistry import DockerRegistry, docker_registry, with_users
from tests.flytes import VERSIONS, Flyte

pytestmark = pytest.mark.integration

NEWEST = VERSIONS[-1]
CONFIG = "image:\n  builder: taskimage\n"

TASK = """\
import os
from pathlib import Path
import flyte
image = (
    flyte.Image.from_debian_base(name="task", registry=os.environ.get("REG"), platform=("linux/amd64",))
    .with_pip_packages("idna").with_source_file(Path(__file__).parent / "task.py")
)
env = flyte.TaskEnvironment(name="env", image=image)

@env.task
async def main(x: int) -> str:
    import idna
    return f"{x + 1} {idna.encode('ä').decode()} {os.environ['_F_IMG_ID']}"
"""

LAYERS = """\
import os
from pathlib import Path
import flyte
from flyte._image import CodeBundleLayer
here = Path(__file__).parent
image = (
    flyte.Image.from_uv_script(here / "script.py", name="layers", registry=os.environ["REG"], platform=("linux/amd64",))
    .with_apt_packages("less")
    .with_pip_packages("attrs")
    .with_requirements(here / "requirements.txt")
    .with_source_folder(here / "code", dst="code")
    .with_source_file(here / "note.txt")
    .with_dockerignore(here / "ignore")
    .clone(addl_layer=CodeBundleLayer(copy_style="loaded_modules", dst="bundle", root_dir=here))
    .with_env_vars({"A": "1", "PATH": "/x/bin:$PATH"})
    .with_commands(["cd /tmp && export GONE=1", "echo $A-$LATER-$GONE-$(id -u) > seen.txt"])
    .with_env_vars({"LATER": "2", "B": "$A"})
    .with_uv_project(here / "pyproject.toml", extra_args="--extra more")
    .with_poetry_project(here / "poetry" / "pyproject.toml")
    .with_workdir("/app")
    .with_commands(["python -c 'import pluggy, attrs' && less --version > less.txt"])
)
"""

LOOK = """\
import os, attrs, six, idna, pluggy, packaging, iniconfig
assert os.environ["PATH"].startswith("/x/bin:/opt/venv/bin:"), os.environ["PATH"]
print(os.getcwd(), os.environ["LATER"] + os.environ["B"])
print(open("/home/flyte/seen.txt").read().strip(), sorted(os.listdir("/home/flyte/code")), sorted(os.listdir("/home/flyte/bundle")))
open("less.txt").close(), open("/home/flyte/note.txt").close(), open("/app/new", "w").close()
"""


class World:
    """A registry, a folder with code, and one store."""

    def __init__(self, folder: Path, registry: DockerRegistry) -> None:
        self.folder = folder
        self.registry = registry
        self.command = Command(folder / "home")
        (folder / "config.yaml").write_text(CONFIG)

    def flyte(self, version: str = NEWEST, **environ: str) -> Flyte:
        return Flyte(
            version,
            self.folder,
            {"TASKIMAGE_HOME": str(self.command.home), "REG": self.registry.host, **environ},
        )

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text, encoding="utf-8")

    def tags(self, repository: str) -> set[str]:
        """The tags of a repository; none of one that is not there."""
        answer = urllib3.request("GET", f"{self.registry.url}/v2/{repository}/tags/list")
        return set(answer.json().get("tags") or ()) - {"buildcache"}

    def manifest(self, reference: str) -> dict[str, Any]:
        """What the registry has at ``host/repository:tag``, or ``…@digest``, whose bytes it is then."""
        name, _, digest = reference.removeprefix(f"{self.registry.host}/").partition("@")
        name, _, tag = name.partition(":")
        accepted = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
        answer = urllib3.request(
            "GET", f"{self.registry.url}/v2/{name}/manifests/{digest or tag}", headers={"Accept": accepted}
        )
        assert answer.status == 200
        assert digest in ("", f"sha256:{hashlib.sha256(answer.data).hexdigest()}")
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("flyte")
    (folder / "registry").mkdir()
    with docker_registry(folder / "registry") as registry:
        yield World(folder, registry)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_task_runs_in_the_image_that_flyte_built_for_it(world: World, version: str, tmp_path: Path) -> None:
    """Its own command reads its real inputs and writes its outputs; the image is registered by its digest."""
    world.write("task.py", TASK)
    driver = str(Path(__file__).with_name("flyte2_driver.py"))
    done = world.flyte(version).succeed("python", driver, "task.main", str(tmp_path))
    container = json.loads(done.stdout.splitlines()[-1])
    assert container["image"].startswith(f"{world.registry.host}/task@sha256:")
    assert world.manifest(container["image"]) == world.manifest(container["uri"])

    settings = {
        # Nothing is there: a task without children asks nobody.
        "_U_ORG_NAME": "o", "FLYTE_INTERNAL_EXECUTION_PROJECT": "p", "FLYTE_INTERNAL_EXECUTION_DOMAIN": "d",
        "_U_RUN_BASE": "/data/base", "_U_EP_OVERRIDE": "dns:///127.0.0.1:9", "_U_INSECURE": "1",
        "FLYTE_CLUSTERED_WORKER": "1",
    }  # fmt: skip
    words = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
    tmp_path.chmod(0o777)
    world.command.succeed(
        "run", "-v", f"{tmp_path}:/data", *words, container["image"], "--", *container["words"]
    )
    assert f"42 xn--4ca {container['uri']}".encode() in (tmp_path / "outputs.pb").read_bytes()

    again = world.flyte(version).succeed("flyte", "--config", "config.yaml", "build", "task.py", "env")
    assert container["image"] in again.stdout
    assert "already exists, skipping build" in again.stderr


def test_each_layer_is_in_the_image(world: World) -> None:
    world.write("layers.py", LAYERS)
    world.write("script.py", '# /// script\n# dependencies = ["iniconfig"]\n# ///\n')
    world.write("requirements.txt", "six\nidna\n")
    world.write("note.txt", "")
    world.write("code/main.py", "")
    world.write("code/big.log", "")
    world.write("ignore", "*.log\n")
    more = '[project.optional-dependencies]\nmore = ["packaging"]\n'
    project = (
        '[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["pluggy"]\n'
    )
    world.write("pyproject.toml", project + more)
    world.flyte().succeed("uv", "lock", "--quiet")
    _write_poetry(world)
    # Not as part of an environment: of those flyte takes code bundles out, where it sends the code by itself.
    name = script(world, "import layers", "print(flyte.build(layers.image).uri)").strip()
    said = world.command.succeed("run", name, "--", "python", "-c", LOOK)
    assert said.splitlines() == ["/app 21", "1---0 ['main.py'] ['layers.py', 'program.py']"]
    assert world.command.succeed("run", name, "--", "sh", "-c", "id -un; echo $HOME").split() == [
        "flyte",
        "/home/flyte",
    ]


def _write_poetry(world: World) -> None:
    """A project for poetry with the wheel that uv's lock has, as poetry would lock it."""
    lock = (world.folder / "uv.lock").read_text()
    found = re.search(
        r'name = "pluggy"\nversion = "(.*?)".*?wheels = .*?url = "(.*?)", hash = "(.*?)"', lock, re.DOTALL
    )
    assert found is not None
    version, url, hashed = found.groups()
    dependencies = {"python": "^3.11", "pluggy": "*"}
    content = {"dependencies": dependencies, "source": None, "extras": None, "dev-dependencies": None}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    world.write(
        "poetry/pyproject.toml",
        '[tool.poetry]\nname = "demo"\n[tool.poetry.dependencies]\npython = "^3.11"\npluggy = "*"\n',
    )
    file = f'{{file = "{url.rpartition("/")[2]}", hash = "{hashed}"}}'
    world.write(
        "poetry/poetry.lock",
        f'[[package]]\nname = "pluggy"\nversion = "{version}"\noptional = false\ngroups = ["main"]\n'
        f'python-versions = ">=3.9"\nfiles = [{file}]\n'
        f'[metadata]\nlock-version = "2.1"\npython-versions = "^3.11"\ncontent-hash = "{digest}"\n',
    )


def script(world: World, *lines: str, version: str = NEWEST, **environ: str) -> str:
    """What a program prints that has ``debian``, flyte's default base without flyte, and this builder."""
    world.write(
        "program.py",
        "import asyncio, os, flyte\nfrom pathlib import Path\n"
        "flyte.init(image_builder='taskimage', root_dir=Path('.'))\n"
        "def debian(name='small', registry=os.environ.get('REG'), **fields):\n"
        "    return flyte.Image.from_debian_base(name=name, registry=registry, install_flyte=False,"
        " **{'platform': ('linux/amd64',), **fields})\n" + "\n".join(lines),
    )
    return world.flyte(version, **environ).succeed("python", "program.py").stdout


def test_an_image_is_for_both_platforms_where_none_is_named(world: World) -> None:
    said = script(
        world,
        "print(flyte.build(debian(name='both', platform=None).with_pip_packages('idna')).uri)",
    )
    index = world.manifest(said.strip())
    assert {one["platform"]["architecture"] for one in index["manifests"]} == {"amd64", "arm64"}


def test_a_dry_run_tells_and_publishes_nothing(world: World) -> None:
    image = "debian(name='dry').with_pip_packages('idna').with_commands(['true']).with_pip_packages('six')"
    said = script(world, f"print(flyte.build({image}, dry_run=True).uri)")
    assert said.startswith(f"{world.registry.host}/dry:")
    assert world.tags("dry") == set()


def test_images_may_be_built_at_once(world: World) -> None:
    said = script(
        world,
        "images = [debian(name='many').with_pip_packages(name) for name in ('idna', 'six', 'attrs')]",
        "async def main():\n    return await asyncio.gather(*map(flyte.build.aio, images))",
        "for built in asyncio.run(main()): print(built.uri)",
    )
    assert len(set(said.split())) == 3
    for reference in said.split():
        assert world.manifest(reference)["layers"]


def test_another_base_is_fetched_and_stays_as_it_is(world: World) -> None:
    said = script(
        world,
        "ground = flyte.build(debian(name='ground').with_pip_packages('idna')).uri",
        "image = flyte.Image.from_base(ground).clone(name='based', registry=os.environ['REG'], extendable=True)",
        "print(ground, flyte.build(image.with_pip_packages('six').with_source_file(Path('program.py'), dst='/app/')).uri)",
    )
    ground, based = (
        [layer["digest"] for layer in world.manifest(reference)["layers"]] for reference in said.split()
    )
    assert based[: len(ground)] == ground
    reference = said.split()[1]
    seen = world.command.succeed(
        "run", reference, "--", "sh", "-c", "python -c 'import six, idna'; id -un; pwd; ls /app"
    )
    assert seen.split() == ["flyte", "/home/flyte", "program.py"]


def test_whether_an_image_exists_has_three_answers(world: World, tmp_path: Path) -> None:
    """It does, by its digest; it does not; and where nobody can tell the build says why, and names nothing."""
    with docker_registry(tmp_path, **with_users(tmp_path)) as closed:
        said = script(
            world,
            "from flyte._internal.imagebuild.image_builder import ImageBuildEngine as engine",
            "image = debian(name='asked').with_pip_packages('idna')",
            "there = asyncio.run(engine.image_exists(debian(name='asked').with_pip_packages('six')))",
            "print(there)",
            "built = flyte.build(image).uri",
            "print(built == asyncio.run(engine.image_exists(debian(name='asked').with_pip_packages('idna', pre=False))))",
            "checker = engine._get_builder('taskimage').get_checkers()[0]",
            "ask = checker.image_exists(os.environ['REG'] + '/asked', image._final_tag, ('linux/amd64', 'linux/arm64'))",
            "print(asyncio.run(ask))",
            "try:",
            f"    asyncio.run(checker.image_exists('{closed.host}/asked', 'x'))",
            "except Exception as error:",
            "    print(type(error).__name__)",
            "try:",
            f"    print(flyte.build(debian(registry='{closed.host}').with_pip_packages('idna')).uri)",
            "except flyte.errors.ImageBuildError as error:",
            "    print(error)",
        )
    absent, same, foreign, kind, *failure = said.splitlines()
    assert (absent, same, foreign, kind) == ("None", "True", "None", "NotAllowed")
    assert closed.host in failure[0]
    assert any(line.startswith("hint: ") for line in failure)


def test_an_image_without_a_registry_goes_to_that_of_a_configuration_or_to_an_engine(world: World) -> None:
    built = "print(flyte.build(debian(name='bare', registry=None).with_pip_packages('idna')).uri)"
    said = script(world, built, TASKIMAGE_REGISTRY=f"{world.registry.host}/team", REG="")
    assert said.startswith(f"{world.registry.host}/team/bare@sha256:")
    world.write("there.yaml", f"{CONFIG}  registry: {world.registry.host}/config\n")
    world.write("bare.py", "import flyte\nenv = flyte.TaskEnvironment(name='env', image=flyte.Image.from_debian_base("
                "name='bare', install_flyte=False, platform=('linux/amd64',)).with_pip_packages('idna'))\n")  # fmt: skip
    done = world.flyte(REG="").succeed("flyte", "--config", "there.yaml", "build", "bare.py", "env")
    assert f"{world.registry.host}/config/bare@sha256:" in done.stdout
    failing = f"try:\n    {built}\nexcept flyte.errors.ImageBuildError as error:\n    print(error)"
    # Nothing of a path leads to an engine.
    nowhere = {
        "CONTAINERD_ADDRESS": "/nowhere",
        "DOCKER_HOST": "unix:///nowhere",
        "CONTAINER_HOST": "unix:///nowhere",
    }
    said = script(world, "os.environ['PATH'] = '/nowhere'", failing, REG="", **nowhere)
    assert "it has no registry, and no container engine answers here" in said
    assert "hint: name one: registry=" in said


@pytest.mark.parametrize("version", VERSIONS)
def test_flyte_tells_what_went_wrong_in_one_message(world: World, version: str) -> None:
    world.write(
        "wrong.py",
        "import os, flyte\n"
        "env = flyte.TaskEnvironment(name='env', image=flyte.Image.from_debian_base(name='wrong',"
        " registry=os.environ['REG']).with_commands(['x'], secret_mounts='TOKEN'))\n",
    )
    done = world.flyte(version).run("flyte", "--config", "config.yaml", "build", "wrong.py", "env")
    assert done.returncode != 0
    assert "the layer Commands has secret_mounts=" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
