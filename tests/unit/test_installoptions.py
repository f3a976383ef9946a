"""What `pip_extra_args` means."""

from __future__ import annotations

import pytest

from taskimage.model.errors import InvalidSpec
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.installoptions import DEFAULTS, InstallOptions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", DEFAULTS),
        ("--pre", InstallOptions(prereleases=True)),
        ("--no-deps --resolution=lowest", InstallOptions(no_deps=True, resolution="lowest")),
        ("--index-url https://a/b", InstallOptions(index="https://a/b")),
        ("-i https://a/b --default-index=https://c", InstallOptions(index="https://c")),
        ("--extra-index-url https://a --index n=https://b", InstallOptions(extra_indexes=("https://a", "n=https://b"))),
        ("--index-strategy unsafe-best-match", InstallOptions(index_strategy="unsafe-best-match")),
        ("--exclude-newer '2026-01-01 00:00'", InstallOptions(exclude_newer="2026-01-01 00:00")),
        ("--extra a --extra=b --group dev", InstallOptions(extras=("a", "b"), groups=("dev",))),
        ("-E 'a b' --with dev,docs --without lint", InstallOptions(extras=("a", "b"), groups=("dev", "docs"), without=("lint",))),
        ("--only main", InstallOptions(only_groups=("main",))),
        ("--all-extras --all-groups --no-default-groups", InstallOptions(all_extras=True, all_groups=True, no_default_groups=True)),
        ("--only-binary :all: --prefer-binary -q --no-cache-dir --trusted-host h", DEFAULTS),
        ("--user --find-links=x", InstallOptions(refused=("--user", "--find-links"))),
        ("numpy", InstallOptions(refused=("a word",))),
    ],
)  # fmt: skip
def test_each_option_means_what_uv_and_poetry_mean_by_it(text: str, expected: InstallOptions) -> None:
    assert InstallOptions.parse(text) == expected


def test_a_quote_that_is_not_closed_is_an_error_of_the_spec() -> None:
    with pytest.raises(InvalidSpec, match="pip_extra_args has a quote that is not closed"):
        ImageSpec(pip_extra_args="--pre 'x")


def test_order_does_not_matter_and_no_index_is_told() -> None:
    one = InstallOptions.parse("--pre --extra b --extra a -i https://me:it@h/s --extra-index-url https://i")
    other = InstallOptions.parse("--extra a --index-url=https://elsewhere --extra b --pre")
    assert one.words == other.words == ("--extra a", "--extra b", "--pre")
    assert "me:it" not in repr(one) + repr(ImageSpec(pip_extra_args="-i https://me:it@h/s"))
