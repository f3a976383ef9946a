"""What ``taskimage build`` does when something may have changed: the specs, and what is said of them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskimage.adapters.settings import Settings
from taskimage.adapters.witness import Mark
from taskimage.cli.parser import platforms
from taskimage.cli.progress import progress
from taskimage.cli.results import each, show
from taskimage.model.errors import BadInput, TaskImageError
from taskimage.model.events import Event, Listener, Notice, Warned

if TYPE_CHECKING:
    from taskimage.verbs.build import Built
    from taskimage.verbs.export import Output
    from taskimage.verbs.fleet import Outcome

__all__ = ["Building"]


class Building:
    """The builds that one command line asks for, and what was said of them."""

    def __init__(self, values: Namespace, settings: Settings) -> None:
        self._values = values
        self._settings = settings
        self._output = self._checked_output()
        self._built: list[Built] = []
        self._lines: list[str] = []
        self._warnings: list[Warned] = []

    def all(self) -> int:
        """Build, or preview, every spec; the exit code."""
        values = self._values
        if values.dry_run:
            return each(values.specs, self._preview)
        code = self._build_all()
        if values.image_refs is not None:
            from taskimage.adapters.atomic import replacing

            with replacing(values.image_refs) as file:
                file.write("".join(f"{built.reference}\n" for built in self._built).encode())
        return code

    def keep_receipt(self, asked: str, marks: Mapping[str, Mark], contents: Mapping[str, str]) -> None:
        """Remember what came of the question ``asked``, which depends on files as `Receipt` has them, where that can be."""
        from taskimage.adapters.store import Store
        from taskimage.verbs.receipt import Left, Receipt

        store = Store(self._settings.home)
        receipt = Receipt(
            marks=dict(marks),
            contents=dict(contents),
            images=tuple(Left.of(built, self._settings) for built in self._built),
            lines=tuple(self._lines),
            notices=() if self._values.quiet else tuple(map(_nothing_to_do, self._built)),
            warnings=tuple((one.text, one.hint) for one in self._warnings),
        )
        with suppress(TaskImageError):  # the image is there, whether or not the store's disk is full
            receipt.keep(store, asked)

    def _checked_output(self) -> Output | None:
        values = self._values
        if values.dry_run and (values.output or values.image_refs or values.load):
            raise BadInput("--dry-run makes nothing that --output, --load or --image-refs could take")
        if values.dry_run and values.on:
            raise BadInput("--dry-run makes nothing that a cluster could make")
        if not values.output:
            return None
        from taskimage.verbs.export import parse_output

        output = parse_output(values.output)
        if not output.holds_many and len(values.specs) > 1:
            raise BadInput(f"{values.output!r} holds one image, and {len(values.specs)} SPECs are given")
        return output

    def _build_all(self) -> int:
        """Build every spec; the first exit code that is not 0."""
        from taskimage.verbs.fleet import Wishes, build_all

        values = self._values
        wishes = Wishes(
            **self._asked(), push=values.push, keep=bool(self._output or values.load),
            cached=values.cached, verify=values.verify,
        )  # fmt: skip
        codes: list[int] = []
        with self._listening() as listener:
            build_all(
                values.specs, wishes, on=values.on, settings=self._settings, listener=listener,
                came=lambda outcome: codes.append(each([outcome], lambda one: self._came(one, listener))),
            )  # fmt: skip
        return next(filter(None, codes), 0)

    def _came(self, outcome: Outcome, listener: Listener) -> int:
        built, output, settings = outcome.result(), self._output, self._settings
        if built.fresh:
            listener(Notice(_nothing_to_do(built)))
        if output is not None:
            from taskimage.verbs.export import export

            export(built, output, settings=settings, listener=listener)
        if self._values.load:
            from taskimage.verbs.export import load

            load(built, settings=settings, listener=listener)
        self._built.append(built)
        self._show(built.image.to_json() if self._values.json else built.reference)
        return 0

    def _preview(self, spec: Path) -> int:
        from taskimage.verbs.preview import preview

        with self._listening() as listener:
            found = preview(spec, **self._asked(), settings=self._settings, listener=listener)
            for origin in found.layers:
                listener(Notice(f"would make a layer: {origin}"))
            listener(Notice(f"would fetch {found.fetches} packages, {found.bytes / 1e6:.1f} MB"))
            listener(Notice(f"would make {len(found.layers)} layers; the store has {found.known_layers}"))
        self._show(found.image.to_json() if self._values.json else found.image.full)
        return 0

    def _show(self, line: str) -> None:
        self._lines.append(line)
        show(line)

    @contextmanager
    def _listening(self) -> Iterator[Listener]:
        """What shows events, and remembers warnings."""
        with progress(quiet=self._values.quiet) as shown:

            def listener(event: Event) -> None:
                if isinstance(event, Warned):
                    self._warnings.append(event)
                shown(event)

            yield listener

    def _asked(self) -> dict[str, Any]:
        """What building and previewing have in common, by the names of their arguments."""
        values = self._values
        names = ("root", "locked", "offline", "force", "registry", "tag")
        return {**{name: getattr(values, name) for name in names}, "platform": platforms(values.platform)}


def _nothing_to_do(built: Built) -> str:
    return f"nothing to do: the {'registry' if built.published else 'store'} has this image"
