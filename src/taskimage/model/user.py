"""Users of an image: those that it has (passwd(5)), and the one that its commands run as (config.md, ``User``)."""

from __future__ import annotations

from taskimage.model.errors import BadInput
from taskimage.model.value import dataclass

__all__ = ["User"]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user of an image, as in its /etc/passwd; ``gid`` is the primary group's number."""

    name: str = ""
    uid: int
    gid: int
    home: str
    shell: str = "/bin/bash"
    gecos: str = ""

    def passwd(self, field: str = "*") -> str:
        """The user's line of /etc/passwd; its second ``field`` is ``*`` for no password, ``x`` for one that /etc/shadow has."""
        return f"{self.name}:{field}:{self.uid}:{self.gid}:{self.gecos}:{self.home}:{self.shell}"

    @classmethod
    def find(cls, text: str, *, passwd: str, group: str) -> User:
        """Numbers and home of the user that ``text`` (``user``, ``uid``, ``user:group``, ``uid:gid``; "" is root) means.

        ``passwd`` and ``group`` are the texts of the image's files (passwd(5), group(5)). Raises BadInput for
        a name that they do not have.
        """
        name, _, group_name = text.partition(":")
        lines = [line.split(":") for line in passwd.splitlines()]
        entry = next((line for line in lines if len(line) >= 6 and (name or "0") in (line[0], line[2])), None)
        if entry is None and name and not name.isdecimal():
            raise BadInput(f"user {name!r:.100} of the image is not in its /etc/passwd")
        uid = int(entry[2]) if entry else int(name or 0)
        gid = _gid(group_name, group) if group_name else int(entry[3]) if entry else 0
        return cls(uid=uid, gid=gid, home=entry[5] if entry and entry[5] else "/")


def _gid(name: str, group: str) -> int:
    if name.isdecimal():
        return int(name)
    for line in group.splitlines():
        parts = line.split(":")
        if len(parts) >= 3 and parts[0] == name:
            return int(parts[2])
    raise BadInput(f"group {name!r:.100} of the image is not in its /etc/group")
