"""Debian archives: mirrors, signed indexes, versions, the dependency solver, and fetching.

Read in the order in which data flows: `sources` and `mirrors` (where archives are), `signature` and `release`
(what a suite's signed InRelease says), `unpacked` (its lists of packages as text), `index` (such a list, kept so
that it opens quickly), `pockets` (a suite's indexes, fetched and verified), `suite` (the three parts of one of
Debian's own), `relations` (what packages say of each other), `request` (what a spec asks for), `universe`, `state`
and `solve` (which packages that takes), `packages` (their files), and `archive`, where the `Debian` class puts
them together.

On a base image there are `installed` (what it has) and `basesources` (where its own sources lead) as well, and
`debianbase` with the `DebianBase` class.
"""

from taskimage.adapters.debian.archive import Debian, Resolution
from taskimage.adapters.debian.debianbase import DebianBase

__all__ = ["Debian", "DebianBase", "Resolution"]
