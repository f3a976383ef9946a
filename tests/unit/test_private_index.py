"""A private index, from spec to image: its password reaches it, and nothing that stays."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from tests.canary import SECRETS, everything_below
from tests.case import Case
from tests.sources import CANARY

from taskimage.adapters.pypi.secrets import with_secrets
from taskimage.model.errors import BadInput, NotFound
from taskimage.model.spec.secretkind import SecretKind


@pytest.mark.parametrize(
    "how",
    [
        "pip_index",
        "pip_extra_index_url",
        "pip_extra_args",
        "netrc",
        "pip.conf",
        "UV_DEFAULT_INDEX",
        "requirements",
    ],
)
def test_the_password_of_an_index_is_nowhere_after_a_build(case: Case, how: str) -> None:
    """Not in the store, uv's cache, layers, lock, output: plain, quoted, or as the header has it."""
    case.index.add("private", "1.0", files={"private.py": b"x = 1\n"})
    with_login = case.index.with_login()
    secrets = case.folder / "secrets"
    secrets.mkdir()
    fields: dict[str, object] = {"packages": ["private"]}
    environ = {}
    if how == "pip_index":
        fields["pip_index"] = with_login
    elif how == "pip_extra_index_url":
        fields["pip_extra_index_url"] = [with_login]
        environ["UV_DEFAULT_INDEX"] = "http://127.0.0.1:9/simple"
    elif how == "pip_extra_args":
        fields["pip_extra_args"] = f"--index-url {with_login}"
    elif how == "netrc":
        (secrets / "mine").write_text(f"machine 127.0.0.1 login me password {CANARY}\n")
        fields["pip_secret_mounts"] = [["secrets/mine", "/root/.netrc"]]
    elif how == "pip.conf":
        (secrets / "mine").write_text(f"[global]\nindex-url = {with_login}\n")
        fields["pip_secret_mounts"] = [["secrets/mine", "/etc/pip.conf"]]
    elif how == "UV_DEFAULT_INDEX":
        environ["UV_DEFAULT_INDEX"] = with_login
    else:
        (secrets / "r.txt").write_text(
            "--index-url http://me:${PASSWORD}@" + case.index.url.partition("://")[2] + "\nprivate\n"
        )
        fields = {"packages": [], "requirements": "secrets/r.txt"}
        environ["PASSWORD"] = quote(CANARY, safe="")
    case.spec(**fields)
    said = []
    for words in (
        ("lock", str(case.spec_path)),
        ("build", str(case.spec_path)),
        ("build", str(case.spec_path), "--force"),
    ):
        code, out, err = case.run(*words, **environ)
        assert code == 0, err
        said += [out, err]
    assert "private" in case.lock_path.read_text()
    case.index.password = "another"
    case.home = case.folder / "second home"
    code, out, err = case.run("build", str(case.spec_path), TASKIMAGE_HOME=str(case.home), **environ)
    assert code == 4, err
    said += [out, err]
    found = [("output", "\n".join(said).encode()), ("lock", case.lock_path.read_bytes())]
    for folder in (case.folder / "home", case.home):
        found += everything_below(folder)
    assert len(found) > 50
    assert [(where, secret) for where, data in found for secret in SECRETS if secret in data] == []


def test_a_secret_that_is_not_there_is_named(case: Case) -> None:
    case.spec(pip_secret_mounts=[["secrets/none", "/root/.netrc"]])
    assert "secrets/none" in case.fails(3)


def test_the_id_and_the_lock_know_nothing_of_secrets(case: Case) -> None:
    """flytekit leaves them out of its tag; a lock that was made with one is fresh without."""
    (case.folder / "netrc").write_text("machine 127.0.0.1 login me password x\n")
    case.spec(pip_secret_mounts=[["netrc", "/root/.netrc"]])
    case.lock()
    name = case.build()
    case.spec()
    assert case.build() == name


def test_what_a_pip_conf_says_stands_where_uv_looks(tmp_path: Path) -> None:
    conf = tmp_path / "pip.conf"
    conf.write_text(
        "[global]\nindex-url = https://a/s\ntimeout = 5\n[install]\nextra-index-url =\n  https://b/s\n  https://c/s\n"
    )
    made = with_secrets([(conf, SecretKind.PIP)], {"UV_EXTRA_INDEX_URL": "https://d/s", "A": "b"})
    assert made == {
        "A": "b",
        "UV_DEFAULT_INDEX": "https://a/s",
        "UV_EXTRA_INDEX_URL": "https://b/s https://c/s https://d/s",
    }


def test_what_cannot_be_read_is_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("s3cr3t\n")
    with pytest.raises(BadInput, match=r"cannot read the pip\.conf: MissingSectionHeaderError") as caught:
        with_secrets([(tmp_path / "pip.conf", SecretKind.PIP)], {})
    assert "s3cr3t" not in str(caught.value)
    with pytest.raises(NotFound):
        with_secrets([(tmp_path / "none", SecretKind.NETRC)], {})
