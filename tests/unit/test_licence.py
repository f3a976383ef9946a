"""Which licence a distribution states."""

from __future__ import annotations

import pytest

from taskimage.transform.licence import licence_of


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: else", "MIT OR Apache-2.0"),
        ("Classifier: License :: OSI Approved :: MIT License\nLicense: else", "MIT License"),
        ("Classifier: License :: OSI Approved\nClassifier: Topic :: Printing", "OSI Approved"),
        ("Classifier: License :: Z\nClassifier: License :: A", "A and Z"),
        ("License: BSD-3-Clause", "BSD-3-Clause"),
        ("License: Copyright (c) somebody\n        Permission is granted to anybody", ""),
        ("License: " + "x" * 61, ""),
        ("License-Expression: \x1b[31mMIT", ""),
        ("", ""),
    ],
)
def test_the_licence_is_one_short_line_or_none(fields: str, licence: str) -> None:
    assert (
        licence_of(f"Metadata-Version: 2.4\nName: a\nVersion: 1\n{fields}\n\nLicense: text".encode())
        == licence
    )
