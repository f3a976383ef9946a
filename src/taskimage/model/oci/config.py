"""The configuration of an image: what runs, where, as whom, and the layers under it (image-spec, config.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.oci.document import Fields, canonical_json, parse_json
from taskimage.model.oci.platform import Platform
from taskimage.model.value import dataclass

__all__ = ["Config", "ExecutionConfig", "History"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionConfig:
    """How a container of the image starts (config.md, ``config``).

    ``env`` has ``NAME=value`` texts in order; ``user`` is ``uid:gid`` or what else the specification accepts.
    ``other`` has the properties that have no name here, such as ``ExposedPorts``, ``StopSignal``, and Docker's
    ``Healthcheck``, as JSON has them.
    """

    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    other: Mapping[str, Any] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The variables by name; the last one of a name counts."""
        return {name: value for name, _, value in (text.partition("=") for text in self.env)}

    def to_dict(self) -> dict[str, Any]:
        """The parameters as JSON has them, empty parts left out."""
        document = {
            **self.other,
            "Env": list(self.env),
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.cmd),
            "User": self.user,
            "WorkingDir": self.working_dir,
            "Labels": dict(self.labels),
        }
        return {name: value for name, value in document.items() if value}

    @classmethod
    def from_fields(cls, fields: Fields) -> ExecutionConfig:
        """The parameters that are a part of some configuration. Raises BadInput, which names the field."""
        return cls(
            env=fields.texts("Env"),
            entrypoint=fields.texts("Entrypoint"),
            cmd=fields.texts("Cmd"),
            user=fields.optional_text("User") or "",
            working_dir=fields.optional_text("WorkingDir") or "",
            labels=fields.text_map("Labels"),
            other=fields.rest("Env", "Entrypoint", "Cmd", "User", "WorkingDir", "Labels"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What one layer holds, for people; ``empty_layer`` is true where there is no layer."""

    created: str | None = None
    created_by: str | None = None
    comment: str | None = None
    empty_layer: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON has it, empty parts left out."""
        document = {
            "created": self.created, "created_by": self.created_by, "comment": self.comment,
            "empty_layer": self.empty_layer,
        }  # fmt: skip
        return {name: value for name, value in document.items() if value}

    @classmethod
    def from_fields(cls, fields: Fields) -> History:
        """The record that is a part of some configuration. Raises BadInput, which names the field."""
        return cls(
            created=fields.optional_text("created"),
            created_by=fields.optional_text("created_by"),
            comment=fields.optional_text("comment"),
            empty_layer=fields.flag("empty_layer"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration of an image; ``created`` is a date and time of RFC 3339."""

    platform: Platform
    diff_ids: tuple[Digest, ...]
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    history: tuple[History, ...] = ()
    created: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON has it, empty parts left out."""
        document: dict[str, Any] = {
            **self.platform.to_dict(),
            "rootfs": {"type": "layers", "diff_ids": [str(digest) for digest in self.diff_ids]},
            "config": self.execution.to_dict(),
            "history": [record.to_dict() for record in self.history],
        }
        if self.created is not None:
            document["created"] = self.created
        return document

    def to_json(self) -> bytes:
        """The bytes whose digest is the image's ID (config.md, "ImageID")."""
        return canonical_json(self.to_dict())

    @classmethod
    def from_json(cls, data: bytes, *, where: str) -> Config:
        """The configuration in the JSON text ``data``. Raises BadInput, which names the field, and ``where`` it is."""
        try:
            return cls.from_dict(parse_json(data, where=where))
        except BadInput as error:
            error.where = error.where or where
            raise

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Config:
        """The configuration that ``document`` holds. Raises BadInput, which names the field."""
        fields = Fields(document, "config")
        rootfs = fields.section("rootfs")
        rootfs.expect("type", "layers")
        execution = fields.optional_section("config")
        return cls(
            platform=Platform.from_fields(fields),
            diff_ids=rootfs.digests("diff_ids"),
            execution=ExecutionConfig() if execution is None else ExecutionConfig.from_fields(execution),
            history=tuple(map(History.from_fields, fields.sections("history"))),
            created=fields.optional_text("created"),
        )
