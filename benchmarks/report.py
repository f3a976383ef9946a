"""What was measured, shown: tables in Markdown, a plot, and the README's section."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.cases import CASES, titled
from benchmarks.chart import Mark, Row, chart
from benchmarks.figures import Cost, Figures, median, spread

__all__ = ["Result", "details", "in_readme", "plot", "summary"]

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
PLOT = HERE / "results.svg"
README = HERE.parent / "README.md"
OURS, FLOOR = "taskimage", "floor"
_TITLES = {
    "docker": "`docker build`, `docker push`",
    "buildah": "`buildah build`, `buildah push`",
    "skopeo": "`skopeo copy`",
}
_START, _END = "<!-- from here to the end: `make bench-readme` -->\n", "<!-- the end -->\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run of the benchmark, and where and when it was."""

    machine: str
    date: str
    versions: Mapping[str, str]
    load: tuple[float, float]
    runs: int
    figures: Figures

    def to_json(self) -> str:
        """A document that `from_json` reads."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Result:
        """What `to_json` wrote."""
        document = json.loads(text)
        figures = {
            case: {peer: [Cost(**cost) for cost in costs] for peer, costs in by_peer.items()}
            for case, by_peer in document.pop("figures").items()
        }
        return cls(**{**document, "load": tuple(document["load"])}, figures=figures)

    def of(self, case: str, peer: str) -> Sequence[Cost]:
        """What ``case`` cost ``peer``, or the case that is the same for it; nothing where it was not measured."""
        return self.figures.get(case, {}).get(peer) or self.figures.get(CASES[case].against, {}).get(peer, ())

    def peers(self) -> Sequence[str]:
        """Who took part, beside us and the floor."""
        there = dict.fromkeys(peer for by_peer in self.figures.values() for peer in by_peer)
        return [peer for peer in there if peer not in (OURS, FLOOR)]


def summary(result: Result) -> Iterator[str]:
    """The lines of a short table: seconds by case, and how many times as fast we are as each peer."""
    peers = result.peers()
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    yield (
        f"{result.date}; {result.machine}; {versions}; load average {result.load[0]:.1f} at the start and "
        f"{result.load[1]:.1f} at the end. Median seconds of up to {result.runs} turns, interleaved; in brackets, how many "
        "times as long as ours."
    )
    yield ""
    heads = ["case", "taskimage", "of the floor", *(_TITLES.get(peer, peer) for peer in peers)]
    yield f"| {' | '.join(heads)} |"
    yield "| --- " * len(heads) + "|"
    for name, title in titled(result.figures):
        ours = result.of(name, OURS)
        cells = [_seconds(ours), _times(ours, result.of(name, FLOOR))]
        cells += [_beside(result.of(name, peer), ours) for peer in peers]
        yield f"| {' | '.join([title, *cells])} |"


def details(result: Result) -> Iterator[str]:
    """The lines of the table with everything that was measured."""
    yield "| case | who | turns | seconds | CPU seconds | peak RSS, MB | sent, MB | received, MB | requests | network, MB |"
    yield "| --- " * 10 + "|"
    for name, title in titled(result.figures):
        for peer, costs in result.figures[name].items():
            parts = [
                f"{median(costs, part):.{digits}f}"
                for part, digits in (
                    ("cpu", 2),
                    ("memory", 0),
                    ("sent", 2),
                    ("received", 2),
                    ("requests", 0),
                    ("fetched", 1),
                )
            ]
            wall = spread([cost.wall for cost in costs])
            yield f"| {title} | {peer} | {len(costs)} | {wall} | {' | '.join(parts)} |"


def plot(result: Result) -> str:
    """The medians as SVG."""
    rows = []
    for name, title in titled(result.figures):
        marks = [
            Mark(
                peer,
                median(costs, "wall"),
                min(cost.wall for cost in costs),
                max(cost.wall for cost in costs),
            )
            for peer in (OURS, *result.peers(), FLOOR)
            if (costs := result.of(name, peer))
        ]
        rows.append(Row(title, marks))
    return chart(f"Seconds, on {result.machine}", rows)


def in_readme(text: str, lines: Sequence[str]) -> str:
    """The README's ``text`` with these lines between its two comments."""
    before, start, rest = text.partition(_START)
    _, end, after = rest.partition(_END)
    if not start or not end:
        sys.exit(f"the README lacks {_START.strip()!r} or {_END.strip()!r}")
    return f"{before}{start}\n" + "\n".join(lines) + f"\n\n{end}{after}"


def main() -> None:
    """Put the last results into the README."""
    result = Result.from_json(RESULTS.read_text("utf-8"))
    plotted = "![The same, as a plot](benchmarks/results.svg)"
    README.write_text(in_readme(README.read_text("utf-8"), [*summary(result), "", plotted]), "utf-8")


def _seconds(costs: Sequence[Cost]) -> str:
    return f"{median(costs, 'wall'):.2f} s" if costs else ""


def _times(ours: Sequence[Cost], other: Sequence[Cost]) -> str:
    return f"{median(ours, 'wall') / median(other, 'wall'):.1f}x" if ours and other else ""


def _beside(costs: Sequence[Cost], ours: Sequence[Cost]) -> str:
    times = _times(costs, ours)
    return _seconds(costs) + (f" ({times})" if times else "")


if __name__ == "__main__":
    main()
