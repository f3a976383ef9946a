"""Commands of maintainer scripts whose outcome an image does without, or has from elsewhere."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["LEFT_OUT", "is_left_out"]

_SHELL = frozenset(
    {":", "true", "trap", "hash", "wait", "sync", "sleep", "exec", "cd", "setup_colors", "logger"}
)

# Made here for the image as a whole: the linker's cache, login shells, bytecode.
_MADE_FOR_ALL = frozenset({
    "ldconfig", "update-shells", "shadowconfig", "py3compile", "pycompile", "pypy3compile", "py3clean", "pyclean",
})  # fmt: skip

# A build has no services, devices or security modules to tell.
_RUNNING_SYSTEM = frozenset({
    "deb-systemd-helper", "deb-systemd-invoke", "systemctl", "invoke-rc.d", "update-rc.d", "service", "runit-helper",
    "systemd-tmpfiles", "udevadm", "telinit", "kill", "killall", "start-stop-daemon", "dbus-send", "modprobe",
    "apparmor_parser", "restorecon", "chcon", "update-binfmts",
})  # fmt: skip

# Notes for later upgrades, and debconf's questions, which nobody answers.
_BOOKKEEPING = frozenset({
    "dpkg-trigger", "dpkg-maintscript-helper", "ucfr", "db_version", "db_capb", "db_input", "db_go", "db_reset",
    "db_stop", "db_fset", "db_fget", "db_metaget", "db_subst", "db_register", "db_unregister", "db_title", "db_purge",
    "db_beginblock", "db_endblock",
})  # fmt: skip

# Keys and numbers that tell one machine from all others: in an image every container would share them.
_IDENTITY = frozenset({"ssh-keygen", "make-ssl-cert", "dbus-uuidgen", "systemd-machine-id-setup"})

# Indexes of documentation, and caches for desktops: programs work without them, or make them for themselves.
_CACHES = frozenset({
    "mandb", "update-info-dir", "install-info", "journalctl", "update-menus", "update-mime",
    "fc-cache", "update-mime-database", "update-desktop-database", "update-icon-caches", "gtk-update-icon-cache",
    "gio-querymodules", "gdk-pixbuf-query-loaders", "gtk-query-immodules-2.0", "gtk-query-immodules-3.0",
    "update-fonts-alias", "update-fonts-dir", "update-fonts-scale",
})  # fmt: skip

LEFT_OUT: Final = _SHELL | _MADE_FOR_ALL | _RUNNING_SYSTEM | _BOOKKEEPING | _IDENTITY | _CACHES
"""Commands that succeed and change no file that an image needs."""

# The same, as files: where scripts run by themselves, and not as they are followed here.
_FILES = re.compile(
    # Notes for later, and what was there before a change.
    r"var/(cache/(debconf|man|fontconfig)|lib/(systemd|python))/.*|var/log/(.*/)?[^/]*log"
    r"|var/lib/dpkg/(available|lock|lock-frontend|updates/.*|triggers/Lock|.*-old)"
    r"|etc/(passwd|group|shadow|gshadow|subuid|subgid)-|etc/\.pwd\.lock|.*/__pycache__(/.*)?"
    # No init system runs in an image.
    r"|etc/rc.\.d/.*|etc/systemd/system/.*\.(wants|requires)(/.*)?"
    # What tells one machine from all others.
    r"|etc/machine-id|var/lib/dbus/machine-id|etc/ssh/ssh_host_.*|etc/ssl/(certs|private)/ssl-cert-snakeoil\..*"
    # What has the time in it, or where in memory things were: TeX makes such a format when it is first asked for.
    r"|var/lib/texmf/web2c/((tex|luatex|luahbtex)/.*|.*\.log)"
    # Databases, which have numbers of their own too: whoever runs the image makes one.
    r"|var/lib/(mysql|postgresql)/.*|etc/postgresql/.*",
)


def is_left_out(path: str) -> bool:
    """Whether what a script does at ``path`` is no part of an image."""
    return _FILES.fullmatch(path) is not None
