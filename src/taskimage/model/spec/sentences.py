"""What each field and switch is for, in a sentence: what editors show, and the tables of the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taskimage.model.value import dataclass

__all__ = ["FIELDS_SAID", "SWITCHES_SAID", "Said"]


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence, in Markdown, and values that teach something."""

    sentence: str
    examples: tuple[Any, ...] = ()


FIELDS_SAID: Mapping[str, Said] = {
    "name": Said("The image's name in its registry.", ("train", "team/train")),
    "python_version": Said(
        "The version of CPython, to the second number or the third. By default the lock's, and without a lock that of "
        "the Python that runs taskimage.",
        ("3.11", "3.12.4"),
    ),
    "builder": Said("What builds the image in flytekit: `taskimage`, `default` or nothing.", ("taskimage",)),
    "source_root": Said(
        "A folder whose files are copied to `/root`, as `source_copy_mode` says.", (".", "src")
    ),
    "env": Said(
        "Environment variables of the image. A number or a truth value becomes text as Python writes it.",
        ({"OMP_NUM_THREADS": "4"},),
    ),
    "registry": Said(
        "Where the image is published: a host, perhaps with a port and a path.",
        ("ghcr.io/org", "localhost:30000"),
    ),
    "packages": Said("Python packages, as pip's requirements.", (["pandas>=2.2,<3", "pyarrow"],)),
    "conda_packages": Said("Packages of conda channels.", (["gdal=3.8"],)),
    "conda_channels": Said("Where conda packages come from, the first first.", (["conda-forge"],)),
    "requirements": Said("A file with Python packages.", ("requirements.txt", "uv.lock")),
    "apt_packages": Said(
        "Debian packages, with what they depend on and without Recommends.", (["git", "libgl1"],)
    ),
    "cuda": Said("The version of CUDA.", ("12.4",)),
    "cudnn": Said("The version of cuDNN.", ("9",)),
    "base_image": Said(
        "What the image stands on: an image's identifier, or the fields of a spec. By default Debian's own packages.",
        ("python:3.12-slim", "ghcr.io/org/base@sha256:" + 64 * "0"),
    ),
    "platform": Said(
        "The platform of the image, or several with a comma between. By default `linux/amd64`; on an ARM host, and for "
        "a registry on localhost, `linux/arm64`.",
        ("linux/amd64", "linux/amd64,linux/arm64"),
    ),
    "pip_index": Said(
        "The package index to use instead of the default one.", ("https://packages.example.org/simple",)
    ),
    "pip_extra_index_url": Said("Package indexes to look at besides.", (["https://wheels.example.org/cpu"],)),
    "pip_secret_mounts": Said(
        "Files with secrets that fetching packages needs, each with the path where it is mounted. None is in the image.",
        ([["~/.netrc", "/root/.netrc"]],),
    ),
    "pip_extra_args": Said("Further arguments of pip, in one line.", ("--pre",)),
    "registry_config": Said(
        "A file with credentials, like docker's `config.json`, looked at first.", ("docker/config.json",)
    ),
    "entrypoint": Said(
        "The command that starts in the image; `[]` for none.", ([], ["python", "-m", "serve"])
    ),
    "commands": Said("Shell commands that run in the image, last, while it is made.", (["mkdir -p /data"],)),
    "tag_format": Said(
        "The tag, in which `{spec_hash}` stands for flytekit's hash of the spec.", ("{spec_hash}-dev",)
    ),
    "source_copy_mode": Said(
        "Which files of `source_root` are copied: `all`, `auto` (the loaded modules, where a spec is made in Python) or "
        "`none`.",
        ("all", "none"),
    ),
    "copy": Said(
        "Files and folders that are copied below `/root`, by relative paths.", (["src", "data/labels.csv"],)
    ),
    "python_exec": Said(
        "The interpreter of the base image that packages are installed for.", ("/opt/conda/bin/python",)
    ),
    "runtime_packages": Said("Python packages that pip installs when a task starts.", (["ipdb"],)),
    "builder_options": Said("Switches of builders, by builder: those of this one stand below `taskimage`."),
    "builder_config": Said("The images that flytekit's own builder works with."),
}

SWITCHES_SAID: Mapping[str, Said] = {
    "runtime": Said(
        "What starts tasks: flytekit is added where no requirement names it; `none` adds nothing."
    ),
    "bytecode": Said("Whether packages are compiled."),
    "suite": Said("The Debian release below them, where there is no `base_image`.", ("bookworm", "trixie")),
    "waive_scripts": Said(
        "Debian packages whose maintainer scripts do not matter, and are not run.", (["example-doc"],)
    ),
    "expired_indexes": Said("Whether Debian's indexes are accepted past their Valid-Until."),
    "network": Said("Whether `commands` reach the network."),
    "ca_certificates": Said(
        "PEM files with certificate authorities that the image trusts besides.", (["corp.pem"],)
    ),
    "build_sdists": Said(
        "Python packages that are built, in a sandbox, where they have no wheel.", (["docopt"],)
    ),
}
