"""Packages made in code, for the tests of what reads them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TypeAlias

import pytest
from tests import archives

from taskimage.transform.deb import Deb, read_deb

MakeDeb: TypeAlias = Callable[..., bytes]
MakePackage: TypeAlias = Callable[..., Deb]


@pytest.fixture(scope="session")
def make_deb() -> MakeDeb:
    """A function that makes the bytes of a .deb."""
    return archives.make_deb


@pytest.fixture(scope="session")
def make_package(make_deb: MakeDeb) -> MakePackage:
    """A function that makes a .deb and reads it."""

    def make(*arguments: object, **fields: object) -> Deb:
        deb = make_deb(*arguments, **fields)
        return read_deb(io.BytesIO(deb), io.BytesIO(), where="thing.deb")

    return make
