"""A registry for tests: in this process, on loopback, true to the specification, with faults to order.

It speaks the distribution-spec v1.1 well enough that the real programs push to it and pull from it, and it
remembers what it was asked. References to what is in it begin with `Registry.host`:

>>> from urllib.request import urlopen
>>> from taskimage.testing import Fault, Registry, make_image
>>> with Registry() as registry:
...     digest = registry.put_image("team/app:v1", make_image([{"etc/motd": b"hello"}]))
...     registry.fail(Fault(path="/manifests/", delay=0.1))
...     answer = urlopen(f"http://{registry.host}/v2/team/app/manifests/v1")
...     answer.headers["Docker-Content-Digest"] == str(digest), registry.requests[0].status
(True, 200)
"""

from taskimage.testing.certificates import Certificates, make_certificates
from taskimage.testing.exchanges import Exchange
from taskimage.testing.faults import Fault
from taskimage.testing.images import Files, MadeImage, make_image, make_index
from taskimage.testing.registry import Registry
from taskimage.testing.storage import StoredManifest

__all__ = [
    "Certificates",
    "Exchange",
    "Fault",
    "Files",
    "MadeImage",
    "Registry",
    "StoredManifest",
    "make_certificates",
    "make_image",
    "make_index",
]
