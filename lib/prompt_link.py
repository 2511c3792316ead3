"""A Jupyter server extension: what a kernel says reaches the page at once.

    python -m lib.prompt_link          switches it on
    python -m lib.prompt_link --off    and off

TCP holds a small packet back while an earlier one is unconfirmed (Nagle's algorithm,
RFC 896), and the other side waits up to 40 ms before it confirms a packet that it has
no answer to (RFC 1122, 4.2.3.2, allows 500). So two pictures that a kernel sends 30 ms
apart arrive together, the first of them late. Jupyter's server leaves it at that;
tornado, on which it stands, has `set_nodelay` against it. With this extension a network
that trains shows 30 pictures a second where it showed 19 (`benchmarks/answers.py`).

`make lab`, README's other ways to install and Binder switch it on, in the environment
they install into. With any other server the widgets work as well, but less evenly.

Left out: all else that a server does. It loads nothing else of `lib`.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

SETTING = "kernel_websocket_connection_class"


def prompt(usual: type) -> type:
    """A class of connections between pages and kernels that never hold a packet back.

    Args:
        usual: the server's class. It has a `websocket_handler`, and its `connect()` is
            called once the page's connection is open.
    """

    class PromptConnection(usual):
        def connect(self) -> Any:
            self.websocket_handler.set_nodelay(True)
            return super().connect()

    return PromptConnection


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "lib.prompt_link"}]


def _load_jupyter_server_extension(server: Any) -> None:
    settings = server.web_app.settings
    if usual := settings.get(SETTING):
        settings[SETTING] = prompt(usual)
    else:
        server.log.warning(f"lib.prompt_link: this server has no {SETTING!r}")


def main(arguments: list[str] | None = None) -> int:
    """Switch the extension on or off for the servers of this environment."""
    from jupyter_server.extension.serverextension import toggle_server_extension_python

    parser = argparse.ArgumentParser(
        prog="python -m lib.prompt_link",
        description="Let the Jupyter servers of this environment send at once.",
    )
    parser.add_argument("--off", action="store_true", help="as before")
    off = parser.parse_args(arguments).off
    try:
        toggle_server_extension_python("lib.prompt_link", enabled=not off)
    except OSError as error:
        print(
            f"Nothing was switched: {error}. The widgets work without it, less evenly; "
            "whoever may write there can run this command.",
            file=sys.stderr,
        )
        return 1
    print(f"Jupyter servers of {sys.prefix} send {'as usual' if off else 'at once'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
