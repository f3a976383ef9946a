"""The stacks of PAM that pam-auth-update(8) makes of the profiles that packages bring."""

from __future__ import annotations

import re
from collections.abc import Sequence

from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

__all__ = ["pam_stacks"]

_STACKS = ("account", "auth", "password", "session", "session-noninteractive")
_FIELD = re.compile(r"^(\S+?):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)
_NOBODY = "[default=1]\t\t\tpam_permit.so"

_Profile = dict[str, str]


def pam_stacks(tree: Tree) -> tuple[Entry, ...]:
    """/etc/pam.d/common-*: the profiles that are on by default, by priority, in the package's templates."""
    texts = (tree.read(path) or b"" for path in tree.glob("/usr/share/pam-configs/*"))
    profiles = [dict(_FIELD.findall(text.decode("utf-8", "replace"))) for text in texts]
    chosen = [profile for profile in profiles if profile.get("Default") == "yes"]
    chosen.sort(key=lambda profile: -int(profile.get("Priority", "0")))
    found = []
    for stack in _STACKS:
        template = tree.read(f"usr/share/pam/common-{stack}")
        if template is not None:
            text = _filled(template.decode("utf-8", "replace"), stack, chosen)
            found.append(Entry.file(f"etc/pam.d/common-{stack}", text.encode()))
    return tuple(found)


def _filled(template: str, stack: str, profiles: Sequence[_Profile]) -> str:
    kind, _, noninteractive = stack.partition("-")
    if noninteractive:
        profiles = [profile for profile in profiles if profile.get("Session-Interactive-Only") != "yes"]
    blocks = {
        "primary": _block(kind, "Primary", profiles) or [f"{kind}\t{_NOBODY}"],
        "additional": _block(kind, "Additional", profiles),
    }
    lines: list[str] = []
    for line in template.splitlines():
        mark = re.fullmatch(r"\$\w+_(primary|additional)", line)
        lines += blocks[mark[1]] if mark else [line]
    return "".join(f"{line}\n" for line in lines)


def _block(kind: str, place: str, profiles: Sequence[_Profile]) -> list[str]:
    name = kind.capitalize()
    rules: list[str] = []
    for profile in profiles:
        if profile.get(f"{name}-Type") == place:
            # A password is asked for by the first module alone; the others try it.
            first = None if rules else profile.get(f"{name}-Initial")
            text = first if first is not None else profile.get(name, "")
            rules += [line.strip() for line in text.splitlines() if line.strip()]
    return [f"{kind}\t{_rule(rule, len(rules) - number)}" for number, rule in enumerate(rules)]


def _rule(rule: str, to_end: int) -> str:
    """``rule`` as it stands in a stack: ``end`` is as many modules ahead as are left."""
    match = re.fullmatch(r"(\[.*?\]|\S+)\s+(\S+)\s*(.*)", rule)
    if match is None:
        return rule
    control = re.sub(r"=end\b", f"={to_end}", match[1])
    return f"{control}\t{match[2]} {match[3]}"
