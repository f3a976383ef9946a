"""A glance at a registry: whether a tag means what it meant, by one request of which hardly anything is imported.

For whoever expects a yes, from a registry that is reached by plain HTTP, through no proxy, and lets everybody read. Only
that yes is believed: whatever else comes, or does not come, has to be asked of `taskimage.adapters.registry`.
"""

from __future__ import annotations

import socket

__all__ = ["means"]

_SECONDS = 5.0
_MOST = 1 << 16


def means(address: str, media_type: str, digest: str) -> bool:
    """Whether the manifest at ``address`` (``http://host[:port]/v2/…``) is the one of ``digest`` (distribution-spec, "Pull").

    False where that is not known.
    """
    host, _, path = address.removeprefix("http://").partition("/")
    request = f"HEAD /{path} HTTP/1.1\r\nHost: {host}\r\nAccept: {media_type}\r\nConnection: close\r\n\r\n"
    try:
        status, *headers = _head(host, request.encode("ascii")).decode("ascii").split("\r\n")
    except (OSError, ValueError):
        return False
    told = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in headers)
    }
    return status.split(" ")[:2] == ["HTTP/1.1", "200"] and told.get("docker-content-digest") == digest


def _head(host: str, request: bytes) -> bytes:
    """The status line and headers of what ``host`` answers. Raises OSError, and ValueError for what is no address."""
    name, _, port = host.rpartition(":")
    where = (name.strip("[]"), int(port)) if name and not port.endswith("]") else (host.strip("[]"), 80)
    answer = b""
    with socket.create_connection(where, timeout=_SECONDS) as connection:
        connection.sendall(request)
        while b"\r\n\r\n" not in answer:
            more = connection.recv(_MOST)
            if not more or len(answer) > _MOST:
                raise ConnectionError("not all of an answer came")
            answer += more
    return answer.partition(b"\r\n\r\n")[0]
