"""Which version of each package would be taken, over all indexes of a suite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from taskimage.adapters.debian.index import Index, Package
from taskimage.adapters.debian.installed import Installed
from taskimage.adapters.debian.relations import Relation, parse_relations
from taskimage.adapters.debian.release import UPGRADES_ONLY
from taskimage.adapters.debian.request import Request
from taskimage.model.errors import CannotBuild, NotFound
from taskimage.transform.deb.version import sort_key

__all__ = ["Universe", "is_met"]


class Universe:
    """The candidates of a suite: as apt has it, one version a name, the highest unless a request says other.

    What is ``installed`` is a candidate too, and older versions are none then. ``place`` is the suite and
    architecture, for messages.
    """

    def __init__(
        self,
        indexes: Sequence[Index],
        *,
        suite: str,
        architecture: str,
        installed: Installed | None = None,
    ) -> None:
        self.architecture = architecture
        self.installed = installed or Installed()
        self.place = f"{suite} for {architecture}"
        self._indexes = indexes
        self._kept: Callable[[str], Package | None] = lambda _: None
        self._requests: dict[str, list[Request]] = {}
        self._candidates: dict[str, Package | None] = {}
        self._providers: dict[str, tuple[Package, ...]] = {}

    def pin(self, requests: Iterable[Request]) -> None:
        """Take only what ``requests`` ask for, of the packages that they name. Ask before any candidate."""
        for request in requests:
            self._requests.setdefault(request.name, []).append(request)

    def keep(self, find: Callable[[str], Package | None]) -> None:
        """Take what ``find`` gives for a name before newer versions. Ask before any candidate."""
        self._kept = find

    def versions(self, name: str) -> list[Package]:
        """Every version of ``name``, the preferred one first: by its release's priority, then the highest.

        Of equal ones that of the first index comes first. What is held has no other version.
        """
        there = self.installed.packages.get(name)
        found = [(UPGRADES_ONLY, there)] if there else []
        if name not in self.installed.held:
            found += [(index.priority, package) for index in self._indexes for package in index.find(name)]
        found.sort(key=lambda item: (item[0], sort_key(item[1].version)), reverse=True)
        return [package for _, package in found]

    def candidate(self, name: str) -> Package | None:
        """The version of ``name`` that would be taken; None when there is none."""
        if name not in self._candidates:
            self._candidates[name] = self._preferred(name)
        return self._candidates[name]

    def _preferred(self, name: str) -> Package | None:
        there = self.installed.packages.get(name)
        requests = self._requests.get(name, ())
        is_asked = any(request.version or request.suite for request in requests)
        kept = None if name in self.installed.held else self._kept(name)
        for package in ([kept] if kept and _is_newer(kept, there) else []) + self.versions(name):
            if not all(request.allows(package.version, package.suite) for request in requests):
                continue
            if there is None or _is_newer(package, there):
                return package
            if package.version == there.version:
                return there
            if is_asked:
                raise CannotBuild(
                    f"the base image has {there}, which is newer than the {package.version} that is asked for",
                    hint="ask for no version of it, or use an older base image",
                )
        return None

    def providers(self, virtual: str) -> tuple[Package, ...]:
        """The candidates that provide ``virtual``: the more important first, then by name."""
        if virtual not in self._providers:
            names = {name for index in self._indexes for name in index.providers(virtual)}
            candidates = [package for name in names if (package := self.candidate(name)) is not None]
            provided = [package for package in candidates if self._provides(package, virtual)]
            self._providers[virtual] = tuple(sorted(provided, key=lambda item: (item.priority, item.name)))
        return self._providers[virtual]

    def options(self, relation: Relation) -> tuple[Package, ...]:
        """The candidates that would meet ``relation``: the package of that name before its providers."""
        own = self.candidate(relation.name)
        others = [item for item in self.providers(relation.name) if item.name != relation.name]
        return tuple(
            item for item in ([own] if own else []) + others if is_met(relation, item, self.architecture)
        )

    def wanted(self, requests: Iterable[Request]) -> tuple[Package, ...]:
        """The packages that ``requests`` stand for, in their order.

        A virtual package with one provider stands for it, as in apt. Raises NotFound with all that is
        unknown.
        """
        found: list[Package] = []
        problems: dict[str, str] = {}
        for request in requests:
            if (candidate := self.candidate(request.name)) is not None:
                found.append(candidate)
            elif len(providers := self.providers(request.name)) == 1 and not (
                request.version or request.suite
            ):
                found.append(providers[0])
            else:
                problems[str(request)] = self._why_not(request)
        if problems:
            listed = "; ".join(problems[name] for name in sorted(problems))
            raise NotFound(listed, hint="names, versions and suites are those that `apt-cache policy` shows")
        return tuple(found)

    def _why_not(self, request: Request) -> str:
        text = f"no package {str(request)!r} in {self.place}"
        if versions := self.versions(request.name):
            known = ", ".join(dict.fromkeys(f"{item.version} ({item.suite})" for item in versions))
            return f"{text}; there is {request.name} {known}"
        if providers := self.providers(request.name):
            return (
                f"{text}; it is virtual, provided by {', '.join(item.name for item in providers)}: name one"
            )
        if close := self._close_names(request.name):
            return f"{text}; did you mean {' or '.join(close)}?"
        return text

    def _close_names(self, name: str) -> list[str]:
        from difflib import get_close_matches

        # Of 63,000 names only those of a similar beginning and length are worth comparing.
        lowered = name.lower()
        known = {other for index in self._indexes for other in index.names()}
        if lowered in known:
            return [lowered]
        near = [other for other in known if abs(len(other) - len(name)) <= 3 and other[:1] == lowered[:1]]
        return get_close_matches(lowered, sorted(near), n=3, cutoff=0.75)

    def _provides(self, package: Package, virtual: str) -> bool:
        return any(
            relation.name == virtual
            for clause in parse_relations(package.provides, self.architecture)
            for relation in clause
        )


def _is_newer(package: Package, there: Package | None) -> bool:
    return there is None or sort_key(package.version) > sort_key(there.version)


def is_met(relation: Relation, package: Package, architecture: str) -> bool:
    """Whether ``package``, by its name or by what it provides, is what ``relation`` means.

    A version is compared with that of a versioned Provides only (policy 7.5), and ``:any`` means a package
    that allows it (Multi-Arch: allowed).
    """
    if relation.qualifier == "any":
        if package.multi_arch != "allowed":
            return False
    elif relation.qualifier not in ("", "native", architecture):
        return False
    if relation.name == package.name and relation.allows(package.version):
        return True
    return any(
        provided.name == relation.name
        and (not relation.operator or bool(provided.version and relation.allows(provided.version)))
        for clause in parse_relations(package.provides, architecture)
        for provided in clause
    )
