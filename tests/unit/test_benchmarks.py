"""The parts of the benchmarks that measure nothing: which cases are played, what is counted, and what is shown."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from benchmarks.cases import CASES, SCENES, chosen, needed, turns
from benchmarks.chart import Mark, Row, chart
from benchmarks.figures import Cost
from benchmarks.meter import Meter
from benchmarks.projects import FLEET, STATES, write
from benchmarks.report import Result, details, in_readme, plot, summary

README = Path(__file__).parents[2] / "README.md"


def cost(wall: float) -> Cost:
    return Cost(wall=wall, cpu=1, memory=100, sent=165.2, received=0.1, requests=40, fetched=150)


RESULT = Result(
    machine="2 cores",
    date="2026-01-01",
    versions={"buildah": "1.0"},
    load=(0.1, 2.0),
    runs=3,
    figures={
        "cold": {"taskimage": [cost(4), cost(2), cost(9)], "docker": [cost(20)], "floor": [cost(2)]},
        "base-cold": {"taskimage": [cost(5)]},
        "push": {"taskimage": [cost(1)], "skopeo": [cost(2)]},
    },
)


def test_without_names_all_cases_are_chosen_but_the_big_one() -> None:
    assert chosen([], big=False) == set(CASES) - {"big"}
    assert chosen([], big=True) == set(CASES)
    assert chosen(["cold"], big=True) == {"cold", "big"}


def test_a_case_is_played_with_those_that_come_before_it_and_none_that_come_after() -> None:
    played = [[case.name for case in cases] for cases in turns({"edited"}, set(CASES), 0, 1)]
    assert played == [["cold", "nothing", "edited"]]


def test_what_is_needed_is_what_comes_before_what_is_wanted() -> None:
    assert needed({"edited", "base-nothing"}) == {"cold", "nothing", "edited", "base-cold", "base-nothing"}


def test_a_peer_plays_what_it_offers_in_as_many_turns_as_it_takes_part_in() -> None:
    assert [case.name for case in next(turns(set(CASES), {"cold", "bumped"}, 0, 1))] == ["cold", "bumped"]
    assert not list(turns(set(CASES), {"cold"}, 1, 1))
    fleet = [scene for scene in SCENES if scene.cases[0].name == "fleet"]
    assert fleet[0].most == 1
    assert not list(turns({"fleet"}, set(CASES), 1, 99))


def test_projects_are_one_change_away_from_the_original() -> None:
    assert STATES["nothing"] == STATES["cold"] != STATES["edited"]
    assert len(set(STATES["added"].packages) - set(STATES["cold"].packages)) == 1
    assert len(set(STATES["bumped"].packages) - set(STATES["cold"].packages)) == 1
    assert len({state.packages[-1] for state in FLEET}) == len(FLEET) == 20


def test_a_file_that_is_as_it_should_be_is_not_written_again(tmp_path: Path) -> None:
    write(tmp_path, STATES["cold"])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    write(tmp_path, STATES["edited"])
    changed = {path.name for path, mark in before.items() if path.stat().st_mtime_ns != mark}
    assert changed == {"prices.py"}


def test_the_short_table_has_medians_and_multiples() -> None:
    lines = list(summary(RESULT))
    assert "| cold: nothing but package sources | 4.00 s | 2.0x | 20.00 s (5.0x) |  |" in lines
    assert lines[-1].startswith("| moving it: layout to empty registry | 1.00 s |  |  | 2.00 s (2.0x)")


def test_a_peer_to_which_a_case_is_another_one_shows_that_one() -> None:
    line = next(line for line in summary(RESULT) if line.startswith("| on a base image: cold"))
    assert line.endswith("| 5.00 s | 2.5x | 20.00 s (4.0x) |  |")


def test_the_long_table_has_every_figure_as_wide_as_its_heading() -> None:
    lines = list(details(RESULT))
    assert {line.count("|") for line in lines} == {11}
    assert any(
        "| 3 | 4.00 (2.00 to 9.00) | 1.00 | 100 | 165.20 | 0.10 | 40 | 150.0 |" in line for line in lines
    )


def test_results_are_read_as_they_were_written() -> None:
    assert Result.from_json(RESULT.to_json()) == RESULT


def test_the_readme_has_a_place_for_the_table_and_keeps_the_rest() -> None:
    text = README.read_text("utf-8")
    once = in_readme(text, ["a table"])
    assert "\na table\n" in once
    assert in_readme(once, ["a table"]) == once
    assert once.startswith(text[: text.index("## How fast")])
    with pytest.raises(SystemExit, match="lacks"):
        in_readme("# something else\n", [])


def test_the_plot_is_well_formed_and_says_every_figure() -> None:
    text = plot(RESULT)
    root = ET.fromstring(text)  # noqa: S314 - our own
    assert root.tag.endswith("svg")
    assert "docker: 20.00 s" in text
    assert "prefers-color-scheme: dark" in text


def test_dots_are_in_the_order_of_their_values_within_the_plot() -> None:
    text = chart("a & b", [Row("r", [Mark("x", value, value, value) for value in (300, 0.02, 4)])])
    dots = re.findall(r'<circle cx="(.*?)".*<title>x: (.*) s</title>', text)
    places = {float(value): float(place) for place, value in dots}
    assert 0 < places[0.02] < places[4] < places[300] < 860


def test_the_meter_counts_both_ways_and_passes_all_of_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Meter(server.getsockname()[1]) as meter:
        address, _, port = meter.host.rpartition(":")
        with socket.create_connection((address, int(port))) as client:
            behind, _ = server.accept()
            with behind:
                client.sendall(b"x" * 300_000)
                client.shutdown(socket.SHUT_WR)
                got = b"".join(iter(lambda: behind.recv(65536), b""))
                behind.sendall(b"answer")
            assert client.recv(100) == b"answer"
            assert client.recv(100) == b""
    assert len(got) == 300_000
    assert (meter.sent, meter.received) == (300_000, 6)
