"""Keeps a lesson's Python off the network; loaded at start-up through PYTHONPATH.

Python imports a module of this name in every process whose PYTHONPATH holds this
folder, so kernels and the Python programs that they start are covered. A connection
or a look-up of a name beyond this machine raises `NetworkBlocked`, an `OSError`, as on
a machine without a network; and it is written to the file that LESSON_NETWORK_LOG
names, so that a lesson that swallows the error is found out too.

Left out: programs in other languages (curl). For those, `run.py` puts the whole run in
a network namespace where the system lets it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from typing import Any


class NetworkBlocked(OSError):
    """A lesson asked for something beyond this machine."""


def is_local(host: object) -> bool:
    """Whether `host` (a name, an address, or None) is this machine itself."""
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(str(name).partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def refuse(host: object) -> None:
    """Write down the attempt, then raise.

    Raises:
        NetworkBlocked: always.
    """
    log = os.environ.get("LESSON_NETWORK_LOG")
    if log:
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{host}\n")
    raise NetworkBlocked(
        f"A lesson asked for {host!r} on the network. Lessons run without one: use the "
        "data in the repository."
    )


def guard_method(name: str) -> None:
    """Let `socket.socket.<name>` reach loopback and local sockets only."""
    original = getattr(socket.socket, name)

    def guarded(self: socket.socket, *args: Any) -> Any:
        address = args[-1] if args else None  # sendto's address comes last
        if self.family in (socket.AF_INET, socket.AF_INET6) and not is_local(
            address[0] if isinstance(address, tuple) else None
        ):
            refuse(address[0])
        return original(self, *args)

    setattr(socket.socket, name, guarded)


def guard_lookup(name: str) -> None:
    """Let `socket.<name>` look up this machine's own names only."""
    original: Callable[..., Any] = getattr(socket, name)

    def guarded(*args: Any, **kwargs: Any) -> Any:
        host = args[0] if args else kwargs.get("host")
        if not is_local(host):
            refuse(host)
        return original(*args, **kwargs)

    setattr(socket, name, guarded)


for _method in ("connect", "connect_ex", "sendto"):
    guard_method(_method)
for _lookup in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
    guard_lookup(_lookup)
