"""Whether an image is there: it is, it is not, or nobody can tell, which is an error."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from taskimage.adapters.registry import Registries, Repository
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, NotFound
from taskimage.model.oci import Config, Index, Platform, RawManifest, parse_json
from taskimage.model.reference import Reference

__all__ = ["Existing", "look_up"]


class Existing:
    """An image that a registry has: ``raw`` is its manifest or index, and ``document`` what that says."""

    def __init__(self, repository: Repository, raw: RawManifest, *, where: str) -> None:
        self._repository = repository
        self._where = where
        self.raw = raw
        self.document = raw.read(where=where)

    @classmethod
    def find(cls, repository: Repository, version: str) -> Existing | None:
        """The image of a tag or digest; None where the registry says that it has none."""
        raw = repository.manifest(version)
        mark = "@" if ":" in version else ":"
        return None if raw is None else cls(repository, raw, where=f"{repository.name}{mark}{version}")

    @property
    def digest(self) -> Digest:
        """The digest of its manifest, or index."""
        return self.raw.digest

    @cached_property
    def platforms(self) -> tuple[Platform, ...]:
        """What there is an image for; where a manifest stands alone its configuration tells, which is fetched."""
        if isinstance(self.document, Index):
            return self.document.platforms
        try:
            config = parse_json(self._repository.blob(self.document.config), where=self._where)
            return (Config.from_dict(config).platform,)
        except BadInput:
            return ()  # something else than an image

    def choose(self, platform: Platform) -> Digest:
        """The digest of the manifest for ``platform``. Raises NotFound, which names the platforms that there are."""
        if isinstance(self.document, Index):
            return self.document.choose(platform, where=self._where).digest
        if self.lacks([platform]):
            there = ", ".join(map(str, self.platforms)) or "no platform"
            raise NotFound(f"the image is for {there}, and {platform} is wanted", where=self._where)
        return self.digest

    def lacks(self, wanted: Iterable[Platform]) -> tuple[Platform, ...]:
        """Those of ``wanted`` that it does not run on."""
        return tuple(one for one in wanted if not any(there.serves(one) for there in self.platforms))


def look_up(registries: Registries, reference: Reference) -> Existing | None:
    """The image of ``reference``, asked of its own registry; None where that says that it has none.

    Raises NotAllowed, Unreachable and whatever else an answer means that is neither: nothing is assumed.
    """
    return Existing.find(registries.repository(reference), str(reference.digest or reference.tag or "latest"))
