"""Debian archives: mirrors, signed indexes, versions, the dependency solver, and fetching.

Read in the order in which data flows: `mirrors` (where archives are), `signature` and `release` (what a
suite's signed InRelease says), `index` (its packages, kept so that they open quickly), `pockets`
(a suite's indexes, fetched and verified), `version` and `relations` (what packages say of each other), `request`
(what a spec asks for), `universe` and `solve` (which packages that takes), and `archive`, where the `Debian`
class puts them together.
"""

from taskimage.adapters.debian.archive import Debian, Resolution

__all__ = ["Debian", "Resolution"]
