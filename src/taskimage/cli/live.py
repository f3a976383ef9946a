"""Bars on a terminal, by rich."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

from taskimage.model.events import Done, Event, Moved, Notice, Started, Warned

__all__ = ["Live"]


class _Amount(ProgressColumn):
    """How much of a step is done, in its own unit."""

    def render(self, task: Task) -> Text:
        unit = str(task.fields["unit"])
        if task.total is None:
            return Text(_said(task.completed, unit) if task.completed else "")
        return Text(f"{_said(task.completed, unit)} / {_said(task.total, unit)}")


def _said(amount: float, unit: str) -> str:
    return f"{amount / 1e6:.1f} MB" if unit == "bytes" else f"{amount:.0f} {unit}"


class Live:
    """A display of the steps under way; the caller lets in one thread at a time."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            _Amount(),
            console=Console(stderr=True),
            transient=True,
        )
        self._steps: dict[str, TaskID] = {}
        self._progress.start()

    @property
    def idle(self) -> bool:
        """Whether no step is under way."""
        return not self._steps

    def show(self, event: Event) -> None:
        """Draw what ``event`` changes."""
        match event:
            case Started(step, label, total) if step in self._steps:
                self._progress.update(self._steps[step], description=escape(label), total=total)
            case Started(step, label, total, unit):
                self._steps[step] = self._progress.add_task(escape(label), total=total, unit=unit)
            case Moved(step, amount):
                if step in self._steps:
                    self._progress.advance(self._steps[step], amount)
            case Done(step, label):
                self._forget(step)
                self._print(Text(f"✓ {label}", style="green"))
            case Notice(text):
                self._print(Text(text))
            case Warned(text, hint):
                self._print(Text.assemble(("warning", "bold yellow"), f": {text}"))
                if hint:
                    self._print(Text.assemble(("hint", "bold cyan"), f": {hint}"))

    def close(self) -> None:
        """Take the bars off the terminal."""
        self._progress.stop()

    def _print(self, text: Text) -> None:
        self._progress.console.print(text, soft_wrap=True)

    def _forget(self, step: str) -> None:
        if step in self._steps:
            self._progress.remove_task(self._steps.pop(step))
