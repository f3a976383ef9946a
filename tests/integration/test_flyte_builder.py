"""flytekit's own engine and `pyflyte`, the real ones, build with us: what they ask for, what they are told."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from tests.case import Case
from tests.dockerregistry import docker_registry
from tests.engines import podman
from tests.flytekits import Project, image_spec, workflow

from taskimage.model.digest import Digest
from taskimage.testing import Fault, Registry, make_image

pytestmark = pytest.mark.integration

# Builds the spec, and prints what tasks are registered with, and what the image is called where nothing is built.
_BUILD = """\
from flytekit import ImageSpec
from flytekit.image_spec.image_spec import ImageBuildEngine
spec = {spec}
name = spec.image_name()
{before}
ImageBuildEngine.build(spec)
print(spec.image_name(), name)
"""
_PINNED = re.compile(r"[\w.:/-]+@sha256:[0-9a-f]{64}")
_ID = "import wf.flow; print(wf.flow.spec.id)"


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as started:
        yield started


def build(spec: str, before: str = "") -> str:
    """The program that builds ``spec``."""
    return _BUILD.format(spec=spec, before=before)


def built(project: Project, spec: str, **environ: str) -> tuple[str, str]:
    """What flytekit calls the image of a spec once it is built, and what it calls it elsewhere."""
    pinned, name = project.python(build(spec), **environ).split()
    return pinned, name


def packaged(project: Project, *options: str, **environ: str) -> str:
    """The image of the one task that ``pyflyte package`` serializes."""
    project.succeed("pyflyte", "--pkgs", "wf", "package", "-f", "-o", "p.tgz", *options, **environ)
    (image,) = project.images(project.folder / "p.tgz").values()
    return image


def manifest(registry: Registry, image: str) -> dict[str, Any]:
    """The manifest of an image in a registry."""
    repository, _, digest = image.removeprefix(f"{registry.host}/").partition("@")
    return registry.manifest(repository, Digest.parse(digest)).document


def blob(registry: Registry, descriptor: dict[str, Any]) -> bytes:
    return registry.blobs[Digest.parse(descriptor["digest"])].read_bytes()


def variables(registry: Registry, image: str) -> dict[str, str]:
    """The environment of an image in a registry."""
    config = json.loads(blob(registry, manifest(registry, image)["config"]))
    return dict(line.split("=", 1) for line in config["config"]["Env"])


def files(registry: Registry, image: str) -> set[str]:
    """The paths of the files in an image in a registry."""
    names: set[str] = set()
    for layer in manifest(registry, image)["layers"]:
        with tarfile.open(fileobj=io.BytesIO(blob(registry, layer))) as tar:
            names.update(part.name for part in tar if part.isfile())
    return names


# -- an image, built and named -----------------------------------------------------------------------------


def test_a_spec_is_built_and_pinned_and_built_once(project: Project, tmp_path: Path) -> None:
    """The registry has it under flytekit's tag; another process is told the same digest, and builds nothing."""
    (tmp_path / "registry").mkdir()
    with docker_registry(tmp_path / "registry") as real:
        spec = image_spec(registry=real.host)
        pinned, name = built(project, spec)
        assert _PINNED.fullmatch(pinned)
        with urlopen(f"{real.url}/v2/demo/tags/list") as answer:  # noqa: S310 -- of this test's own
            assert set(json.load(answer)["tags"]) == {name.rpartition(":")[2], "buildcache"}
        again = project("python", "-c", build(spec))
        assert again.stdout.split() == [pinned, name]
        assert again.stderr.strip() == f"nothing to do: the registry has {pinned}"


def test_the_serialized_task_has_the_digest(project: Project, registry: Registry) -> None:
    """`pyflyte build`, `package` and `serialize` find one image, and name it by its digest."""
    project.write("wf/flow.py", workflow(registry=registry.host))
    project.succeed("pyflyte", "build", "wf/flow.py", "flow")
    pushes = [one for one in registry.requests if one.method == "PUT"]
    image = packaged(project)
    assert _PINNED.fullmatch(image)
    assert image.startswith(f"{registry.host}/demo@")
    folder = project.folder / "out"
    folder.mkdir()
    project.succeed("pyflyte", "--pkgs", "wf", "serialize", "workflows", "-f", str(folder))
    assert set(project.images(folder).values()) == {image}
    assert [one for one in registry.requests if one.method == "PUT"] == pushes


def test_a_task_knows_its_image_and_finds_its_sources(project: Project, registry: Registry) -> None:
    """The id in the image is that of the spec where a task runs; modules are in it unless the registration is fast."""
    project.write("wf/flow.py", workflow(registry=registry.host))
    project.write("wf/unused.py", "")
    with_sources, fast = packaged(project), packaged(project, "--copy", "all")
    here = project.python(_ID)
    assert variables(registry, with_sources)["_F_IMG_ID"] == variables(registry, fast)["_F_IMG_ID"] == here
    assert {"root/wf/__init__.py", "root/wf/flow.py"} <= files(registry, with_sources)
    assert not any(name.startswith("root/wf") for name in files(registry, fast))


def test_a_file_of_yaml_is_built_too(project: Project, registry: Registry) -> None:
    """What YAML reads as a number is meant as it is written, under the tag that flytekit gives it."""
    fields = {"name": "demo", "registry": registry.host, "builder": "taskimage", "python_version": 3.11}
    options = {"taskimage": {"runtime": "none", "bytecode": False}}
    project.write("image.yaml", json.dumps({**fields, "env": {"N": 1}, "builder_options": options}))
    project.write("wf/flow.py", "from flytekit import task\n\n\n@task\ndef t() -> None: ...\n")
    image = packaged(project, "--image", "image.yaml")
    assert variables(registry, image)["N"] == "1"
    program = "import yaml; from flytekit import ImageSpec; print(ImageSpec(**yaml.safe_load(open('image.yaml'))).tag)"
    assert str(registry.manifest("demo", project.python(program)).digest) == image.partition("@")[2]


def test_a_file_of_yaml_is_registered_as_its_lock_has_it(
    project: Project, registry: Registry, case: Case
) -> None:
    """As in a CI job: what `taskimage build --locked` has pushed is found under flytekit's own tag, and not built again."""
    case.spec_path = project.folder / "image.yaml"
    case.spec(registry=registry.host, builder="taskimage")
    case.lock()
    case.index.add("demo", "2.0", files={"demo.py": b"x = 2\n"})
    project.write("wf/flow.py", "from flytekit import task\n\n\n@task\ndef t() -> None: ...\n")
    locked = case.build().partition("@")[2]
    pushes = [one for one in registry.requests if one.method == "PUT"]
    assert packaged(project, "--image", "image.yaml").partition("@")[2] == locked
    assert [one for one in registry.requests if one.method == "PUT"] == pushes


def test_flytekit_is_added_in_the_version_that_the_host_has(
    project: Project, registry: Registry, case: Case
) -> None:
    """Two environments share a store, and each image has the flytekit of its own."""
    for version in ("1.0", project.flytekit.version, "99.0"):
        case.index.add("flytekit", version, files={"flytekit/__init__.py": b""})
    spec = image_spec(registry=registry.host, builder_options={"taskimage": {"bytecode": False}})
    image, _ = built(project, spec)
    inside = {name.split("/")[-2] for name in files(registry, image) if name.endswith("/METADATA")}
    assert f"flytekit-{project.flytekit.version}.dist-info" in inside


def test_a_spec_on_a_spec_is_found_where_neither_is_built(standing: Project, registry: Registry) -> None:
    """Where a task runs flytekit names the base by its tag, and so finds another tag: it means the same image."""
    base = image_spec(name="below", registry=registry.host)
    spec = image_spec(registry=registry.host, packages=["other"], base_image=base)
    # flytekit keeps a tag that it has computed, so it must not be asked for one before.
    program = build(spec).replace("name = spec.image_name()", "name = ''") + "print(spec.id, spec.tag)"
    pinned, image_id, tag = standing.python(program).split()
    elsewhere = f"from flytekit import ImageSpec\nspec = {spec}\nprint(spec.id, spec.tag)"
    same_id, other_tag = standing.python(elsewhere).split()
    assert (same_id, other_tag != tag) == (image_id, True)
    assert set(registry.tags("demo")) == {tag, other_tag, "buildcache"}
    digests = {str(registry.manifest("demo", each).digest) for each in (tag, other_tag)}
    assert digests == {pinned.partition("@")[2]}
    again = standing("python", "-c", program)
    assert again.stdout.split() == [pinned, image_id, tag]
    assert again.stderr.count("nothing to do") == 2
    assert variables(registry, pinned)["_F_IMG_ID"] == image_id
    (below,) = (tag for tag in registry.tags("below") if tag != "buildcache")
    layers = [layer["digest"] for layer in manifest(registry, pinned)["layers"]]
    under = f"{registry.host}/below@{registry.manifest('below', below).digest}"
    lowest = [layer["digest"] for layer in manifest(registry, under)["layers"]]
    assert layers[: len(lowest)] == lowest


def test_specs_share_what_is_read(project: Project, registry: Registry) -> None:
    """Two specs, asked for by two threads, read an index once, and each gets its own image."""
    first, second = (
        image_spec(name=name, registry=registry.host, apt_packages=["tool"]) for name in ("one", "two")
    )
    program = f"""\
from concurrent.futures import ThreadPoolExecutor
from flytekit import ImageSpec
from flytekit.image_spec.image_spec import ImageBuildEngine
specs = [{first}, {second}, {first}]
with ThreadPoolExecutor() as threads:
    list(threads.map(ImageBuildEngine.build, specs))
print(*(spec.image_name() for spec in specs))
"""
    done = project("python", "-c", program)
    one, two, same = done.stdout.split()
    assert (one, bool(_PINNED.fullmatch(one)), bool(_PINNED.fullmatch(two))) == (same, True, True), (
        done.stderr
    )
    assert one.partition("@")[0] != two.partition("@")[0]
    assert done.stderr.count("Reading the packages of bookworm\n") == 1


# -- what is there already -----------------------------------------------------------------------------------


def test_what_another_builder_made_is_told_and_taken(project: Project, registry: Registry) -> None:
    """Unless a build is forced: by the variable when it says so, or by the spec."""
    spec = image_spec(registry=registry.host)
    program = f"from flytekit import ImageSpec\nprint({spec}.tag)"
    tag = project.python(program)
    digest = registry.put_image(f"demo:{tag}", make_image())
    taken = project("python", "-c", build(spec), FLYTE_FORCE_PUSH_IMAGE_SPEC="FALSE")
    assert taken.stdout.split()[0] == f"{registry.host}/demo@{digest}"
    assert "another builder made it" in taken.stderr
    for forced in ({"FLYTE_FORCE_PUSH_IMAGE_SPEC": "1"}, {}):
        registry.put_image(f"demo:{tag}", make_image())
        made = spec if forced else f"{spec}.force_push()"
        assert built(project, made, **forced)[0] != f"{registry.host}/demo@{digest}"


def test_nothing_is_taken_for_granted(project: Project, registry: Registry) -> None:
    """A registry that does not tell whether it has the image is an error, whatever flytekit is told to assume."""
    project.write("wf/flow.py", workflow(registry=registry.host))
    registry.fail(Fault(path="/manifests/", status=403, times=None))
    for words in (("--pkgs", "wf", "package", "-f", "-o", "p.tgz"), ("build", "wf/flow.py", "flow")):
        told = project.fails(*words, FLYTE_IMG_FAST_FAIL="FALSE")
        assert registry.host in told
    assert not (project.folder / "p.tgz").exists()
    registry.stop()
    done = project("pyflyte", "build", "wf/flow.py", "flow")
    assert (done.returncode, "Traceback" in done.stdout + done.stderr) == (5, False)


# -- without a registry --------------------------------------------------------------------------------------


def test_without_a_registry_only_local_commands_build(project: Project) -> None:
    project.write("wf/flow.py", workflow())
    package = ("--pkgs", "wf", "package", "-f", "-o", "p.tgz")
    told = project.fails(*package)
    assert "for no registry" in told
    assert "hint: name one: ImageSpec(registry=…), TASKIMAGE_REGISTRY" in told
    assert not (project.folder / "p.tgz").exists()
    assert not Path(project.environ["TASKIMAGE_HOME"]).exists()
    register = ("register", "--dry-run", "-p", "p", "-d", "d", "-v", "1", "--copy", "none", "wf")
    assert "for no registry" in project.fails(*register)
    done = project("pyflyte", "build", "wf/flow.py", "flow")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^built demo:\S+@sha256:\S+, in the store$", done.stderr, re.MULTILINE)
    assert "no container engine answers here" in done.stderr


def test_an_engine_of_this_machine_gets_the_image(project: Project, tmp_path: Path) -> None:
    project.write("wf/flow.py", workflow())
    folder = tmp_path / "engine"
    folder.mkdir()
    with podman(folder) as engine:
        done = project("pyflyte", "build", "wf/flow.py", "flow", **engine.environ)
        (name,) = re.findall(r"^built (\S+)@sha256:", done.stderr, re.MULTILINE)
        assert f"docker.io/library/{name}" in engine("images", "--format", "{{.Repository}}:{{.Tag}}")


def test_programs_that_register_do_not_build_for_this_machine(project: Project) -> None:
    """A FlyteRemote serializes in a thread of its own, as `pyflyte run --remote` does."""
    project.write("wf/flow.py", workflow())
    program = """\
from flytekit.configuration import Config, ImageConfig, SerializationSettings
from flytekit.remote import FlyteRemote
from wf.flow import add
remote = FlyteRemote(Config.for_endpoint("127.0.0.1:1", insecure=True), default_project="p", default_domain="d")
try:
    remote.register_task(add, SerializationSettings(image_config=ImageConfig.auto_default_image()), version="v")
except Exception as error:
    print(type(error).__name__, error)
"""
    assert re.match(r"ClickException .* for no registry", project.python(program))


def test_an_image_for_a_local_run_is_built_here(project: Project) -> None:
    """`run` builds what `--image` names, and with `--remote`, before or after that, it wants a registry."""
    fields = {"name": "demo", "builder": "taskimage", "python_version": "3.11"}
    options = {"taskimage": {"runtime": "none", "bytecode": False}}
    project.write("image.yaml", json.dumps({**fields, "builder_options": options}))
    project.write("wf/flow.py", workflow())
    image, target = ("--image", "image.yaml"), ("wf/flow.py", "flow")
    done = project("pyflyte", "run", *image, *target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "2"
    assert ", in the store" in done.stderr
    for words in (("--remote", *image), (*image, "--remote")):
        assert "for no registry" in project.fails("run", *words, "-p", "p", "-d", "d", *target)


def test_the_settings_name_a_registry(project: Project, registry: Registry) -> None:
    project.write("wf/flow.py", workflow())
    image = packaged(project, TASKIMAGE_REGISTRY=f"{registry.host}/team")
    assert _PINNED.fullmatch(image)
    assert image.startswith(f"{registry.host}/team/demo@")
    assert manifest(registry, image)["layers"]


def test_a_local_spec_stands_on_a_local_spec(standing: Project) -> None:
    project = standing
    project.write("wf/flow.py", workflow(packages=["other"], base_image=image_spec(name="below")))
    done = project("pyflyte", "build", "wf/flow.py", "flow")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.partition(":")[0] for line in done.stderr.splitlines() if line.startswith("built ")] == [
        "built below", "built demo",
    ]  # fmt: skip


def test_what_is_not_pushed_is_not_registered(project: Project, registry: Registry) -> None:
    """Told not to push, `build` keeps the image here, and `package` refuses until the image is there."""
    project.write("wf/flow.py", workflow(registry=registry.host))
    package = ("--pkgs", "wf", "package", "-f", "-o", "p.tgz")
    assert "FLYTE_PUSH_IMAGE_SPEC" in project.fails(*package, FLYTE_PUSH_IMAGE_SPEC="0")
    project.succeed("pyflyte", "build", "wf/flow.py", "flow", FLYTE_PUSH_IMAGE_SPEC="0")
    assert registry.blobs == {}
    image = packaged(project)
    assert packaged(project, FLYTE_PUSH_IMAGE_SPEC="0") == image


# -- what fails ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"packages": ["nothing-there"]}, "nothing-there"),
        ({"cuda": "12"}, "cuda"),
        ({"requirements": "missing.txt"}, "missing.txt"),
        ({"python_version": "2.7"}, "2.7"),
    ],
)
def test_what_cannot_be_built_is_one_message(
    project: Project, registry: Registry, fields: dict[str, Any], told: str
) -> None:
    if "requirements" in fields:
        project.write("missing.txt", "-r further.txt\n")
    project.write("wf/flow.py", workflow(registry=registry.host, **fields))
    said = project.fails("build", "wf/flow.py", "flow")
    assert told in said
    assert registry.blobs == {}


def test_a_push_that_is_not_allowed_is_told(project: Project) -> None:
    with Registry(username="me", password="secret", public=True) as guarded:
        project.write("wf/flow.py", workflow(registry=guarded.host))
        done = project("pyflyte", "--pkgs", "wf", "package", "-f", "-o", "p.tgz")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (project.folder / "p.tgz").exists()


def test_python_code_gets_the_error_itself(project: Project) -> None:
    """`pyflyte` shows the message of a ClickException; its cause has the family that programs tell apart."""
    program = f"""\
import click, taskimage
from flytekit import ImageSpec
from flytekit.image_spec.image_spec import ImageBuildEngine
try:
    ImageBuildEngine.build({image_spec()})
except click.ClickException as error:
    print(isinstance(error.__cause__, taskimage.BadInput), error.exit_code)
"""
    assert project.python(program) == "True 2"
