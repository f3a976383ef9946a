"""`InstallOptions`: what ``pip_extra_args`` of a spec decides, read by one table of options.

flytekit hands the text to ``uv pip install``, ``uv sync`` or ``poetry install``, whichever the requirements
are for; what is honoured here is what has a meaning for choosing packages, by any of their names for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any, Final

from taskimage.model.value import dataclass

__all__ = ["DEFAULTS", "InstallOptions"]

_FLAGS: Final[Mapping[str, str]] = {
    "--pre": "prereleases", "--no-deps": "no_deps", "--all-extras": "all_extras", "--all-groups": "all_groups",
    "--no-default-groups": "no_default_groups",
}  # fmt: skip
_ONE: Final[Mapping[str, str]] = {
    "-i": "index", "--index-url": "index", "--default-index": "index", "--index-strategy": "index_strategy",
    "--exclude-newer": "exclude_newer", "--resolution": "resolution",
}  # fmt: skip
_MANY: Final[Mapping[str, str]] = {
    "--extra-index-url": "extra_indexes", "--index": "extra_indexes",
    "--extra": "extras", "--extras": "extras", "-E": "extras",
    "--group": "groups", "--with": "groups", "--no-group": "without", "--without": "without",
    "--only-group": "only_groups", "--only": "only_groups",
}  # fmt: skip
# The one name by which each is written.
_WRITTEN: Final[Mapping[str, str]] = {
    **{name: option for option, name in _FLAGS.items()},
    "resolution": "--resolution", "index_strategy": "--index-strategy", "exclude_newer": "--exclude-newer",
    "extras": "--extra", "groups": "--group", "without": "--no-group", "only_groups": "--only-group",
}  # fmt: skip
_INDEXES: Final = frozenset({"index", "extra_indexes"})
# They ask for what is so in any case: wheels alone, certificates checked, no project, nothing shown or kept.
_NOTHING_TO_DO: Final = frozenset({
    "--prefer-binary", "--no-cache", "--no-cache-dir", "-q", "--quiet", "-v", "--verbose", "-U", "--upgrade",
    "--no-input", "--no-interaction", "-n", "--no-ansi", "--no-progress", "--disable-pip-version-check",
    "--no-root", "--no-dev", "--no-install-project", "--locked", "--frozen", "--no-build", "--no-editable",
    "--system", "--break-system-packages", "--only-binary", "--trusted-host", "--allow-insecure-host",
})  # fmt: skip
_VALUE_IS_IGNORED: Final = frozenset({"--only-binary", "--trusted-host", "--allow-insecure-host"})


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallOptions:
    """Options for choosing packages.

    Attributes:
        index: Stands in for the default index; may hold a password, as ``extra_indexes`` may.
        prereleases: Pre-releases are as good as others.
        no_deps: Only what is named is installed, and nothing that it needs.
        resolution, index_strategy, exclude_newer: As uv has them.
        extras, groups: Those of a project that are wanted beside its default ones; ``without`` are not.
        only_groups: These groups, and nothing else of the project.
        refused: Options that have no meaning here.
    """

    index: str | None = field(default=None, repr=False)
    extra_indexes: tuple[str, ...] = field(default=(), repr=False)
    prereleases: bool = False
    no_deps: bool = False
    resolution: str | None = None
    index_strategy: str | None = None
    exclude_newer: str | None = None
    extras: tuple[str, ...] = ()
    all_extras: bool = False
    groups: tuple[str, ...] = ()
    all_groups: bool = False
    without: tuple[str, ...] = ()
    only_groups: tuple[str, ...] = ()
    no_default_groups: bool = False
    refused: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> InstallOptions:
        """The options in ``text``, quoted as a shell has it. Raises ValueError for a quote that is not closed."""
        import shlex

        values: dict[str, Any] = {}
        words = iter(shlex.split(text))
        for word in words:
            name, equals, given = word.partition("=") if word.startswith("--") else (word, "", "")
            if name in _FLAGS:
                values[_FLAGS[name]] = True
            elif name in _ONE:
                values[_ONE[name]] = given if equals else next(words, "")
            elif name in _MANY:
                key, value = _MANY[name], given if equals else next(words, "")
                # poetry takes several in one word.
                parts = [value] if key in _INDEXES else value.replace(",", " ").split()
                values[key] = (*values.get(key, ()), *parts)
            elif name not in _NOTHING_TO_DO:
                values["refused"] = (*values.get("refused", ()), name if name.startswith("-") else "a word")
            elif name in _VALUE_IS_IGNORED and not equals:
                next(words, "")
        return cls(**values)

    @property
    def chooses_parts(self) -> bool:
        """Whether extras or groups of a project are chosen."""
        return bool(
            self.extras or self.groups or self.without or self.only_groups
            or self.all_extras or self.all_groups or self.no_default_groups
        )  # fmt: skip

    @property
    def words(self) -> tuple[str, ...]:
        """What they decide, but for indexes: sorted, so that the order in which they are written does not matter."""
        return tuple(sorted(self._words()))

    def _words(self) -> Iterator[str]:
        for name, option in _WRITTEN.items():
            value = getattr(self, name)
            if isinstance(value, tuple):
                yield from (f"{option} {part}" for part in value)
            elif value:
                yield option if value is True else f"{option} {value}"


DEFAULTS: Final = InstallOptions()
"""What holds when nothing is said."""
