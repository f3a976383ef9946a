"""Write `packages.tsv` anew: what the stacks need, and what each package was in every week of the year up to a day.

uv asks the index, as it does in a build, and keeps what it heard: all weeks but the last cost it next to nothing.
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence

from benchmarks.plan.catalogue import WEEKS, Package, Release, write
from benchmarks.plan.stacks import RUNTIME, STACKS

from taskimage.adapters.pypi.chosen import Chosen, choose, read_pylock
from taskimage.adapters.pypi.indexes import DIRECT
from taskimage.adapters.pypi.target import Target
from taskimage.model.oci import Platform

TARGET = Target("3.11.2", Platform("linux", "amd64"), (2, 36))
PINNING = "torch"
"""Its releases name exact versions of what they need, and that is most of its bytes."""


def main() -> None:
    """Ask, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--until", type=dt.date.fromisoformat, default=dt.date.today())  # noqa: DTZ011
    until: dt.date = parser.parse_args().until
    needed: dict[str, set[str]] = {}
    for stack in STACKS:
        needed |= {name: set() for name in stack.requirements if name not in needed}
        for name, requirer in needs([RUNTIME, *stack.requirements], until):
            needed.setdefault(requirer, set()).add(name)
            needed.setdefault(name, set())
    found: dict[str, dict[str, Release]] = {name: {} for name in needed}
    names = sorted(needed.keys() - {wheel.name for wheel in pins([PINNING], until)})
    for week in reversed(range(WEEKS)):
        day = until - dt.timedelta(weeks=WEEKS - 1 - week)
        free = newest(names, day)
        names = [wheel.name for wheel in free]
        wheels = [*free, *pins([PINNING], day)]
        for wheel in wheels:
            if wheel.name in found:
                found[wheel.name][wheel.version] = Release(week, wheel.version, wheel.size or 0)
        print(f"week {week}: {len(wheels)} packages", file=sys.stderr)
    write(
        Package(
            name, tuple(sorted(needed[name])), tuple(sorted(found[name].values(), key=lambda one: one.week))
        )
        for name in sorted(needed)
    )


def needs(requirements: Sequence[str], day: dt.date) -> Iterator[tuple[str, str]]:
    """Each package that ``requirements`` come to on ``day``, and a package that requires it."""
    for line in asked(requirements, day, "--annotation-style", "line").splitlines():
        if match := re.match(r"([a-z0-9-]+)==\S+\s+# via (.*)", line):
            yield from ((match[1], one) for one in match[2].split(", ") if re.fullmatch(r"[a-z0-9-]+", one))


def newest(names: Sequence[str], day: dt.date) -> list[Chosen]:
    """The newest wheel of each of ``names`` that there was on ``day``, without those of which there was none."""
    left = list(names)
    while left:
        try:
            return pins(left, day, "--no-deps")
        except LookupError as error:
            # uv names one at a time.
            if not (missing := re.search(r"you\s+require\s+([a-z0-9-]+)", str(error))):
                raise
            left.remove(missing[1])
    return []


def pins(requirements: Sequence[str], day: dt.date, *options: str) -> list[Chosen]:
    """The wheels that ``requirements`` come to on ``day``."""
    packages = read_pylock(asked(requirements, day, "--format", "pylock.toml", *options))
    return list(choose(packages, TARGET, (), {package.name: DIRECT for package in packages}))


def asked(requirements: Sequence[str], day: dt.date, *options: str) -> str:
    """What ``uv pip compile`` writes; LookupError says why it does not."""
    import uv

    command = [
        uv.find_uv_bin(), "pip", "compile", "--quiet", "--no-config", "--no-header", "--only-binary", ":all:",
        "--python-version", TARGET.python, "--python-platform", TARGET.uv_platform,
        "--exclude-newer", day.isoformat(), *options, "-",
    ]  # fmt: skip
    done = subprocess.run(command, input="\n".join(requirements), capture_output=True, text=True, check=False)
    if done.returncode:
        raise LookupError(done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
