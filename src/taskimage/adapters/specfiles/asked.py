"""`Asked`: what a spec asks of package indexes, by its own fields and by the files that it names."""

from __future__ import annotations

from collections.abc import Sequence

from taskimage.adapters.specfiles.requirementsfile import RequirementsFile
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.installoptions import DEFAULTS, InstallOptions
from taskimage.model.value import dataclass

__all__ = ["Asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is wanted of package indexes, and which ones a spec names for it.

    Attributes:
        packages: Requirements, as a spec has them.
        requirements: A requirements file, then every file that it includes.
        index: A spec's ``pip_index``.
        extra_indexes: A spec's ``pip_extra_index_url``.
        options: A spec's ``pip_extra_args``.
        channels: A spec's ``conda_channels``.
    """

    packages: Sequence[str] = ()
    requirements: Sequence[RequirementsFile] = ()
    index: str | None = None
    extra_indexes: Sequence[str] = ()
    options: InstallOptions = DEFAULTS
    channels: Sequence[str] = ()

    @classmethod
    def of(cls, spec: ImageSpec, requirements: Sequence[RequirementsFile]) -> Asked:
        """What ``spec`` asks for, which names ``requirements``."""
        return cls(
            packages=spec.packages or (),
            requirements=requirements,
            index=spec.pip_index,
            extra_indexes=spec.pip_extra_index_url or (),
            options=spec.install_options,
            channels=spec.conda_channels or (),
        )
