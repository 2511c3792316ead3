"""The Jupyter server sends at once: on real sockets, and switched on and off."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from jupyter_server.extension.manager import ExtensionPackage
from jupyter_server.services.kernels.connection.base import (
    BaseKernelWebsocketConnection,
)
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

from lib import prompt_link
from lib.prompt_link import SETTING, main, prompt


class Usual(BaseKernelWebsocketConnection):
    """The server's own class, but without a kernel."""

    def connect(self):
        return "connected"


def held_back(connection: type) -> tuple[bool, str]:
    """Whether the server's end of a real connection holds packets back."""
    seen = {}

    class Handler(WebSocketHandler):
        def open(self) -> None:
            seen["answer"] = connection(websocket_handler=self).connect()
            end = self.ws_connection.stream.socket
            flag = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            seen["held"] = flag == 0

    async def once() -> None:
        server = HTTPServer(Application([("/", Handler)]))
        listening, port = bind_unused_port()
        server.add_socket(listening)
        page = await websocket_connect(f"ws://127.0.0.1:{port}/")
        page.close()
        await page.read_message()  # None: the other side has closed too
        server.stop()
        await server.close_all_connections()

    asyncio.run(asyncio.wait_for(once(), 30))
    return seen["held"], seen["answer"]


def test_a_connection_holds_no_packet_back():
    assert held_back(Usual) == (True, "connected")
    assert held_back(prompt(Usual)) == (False, "connected")


def test_the_server_finds_and_loads_it():
    package = ExtensionPackage(name="lib.prompt_link", enabled=True)
    point = package.extension_points["lib.prompt_link"]
    app = SimpleNamespace(settings={SETTING: Usual, "other": 1})
    point._get_loader()(SimpleNamespace(web_app=app, log=logging.getLogger()))
    assert issubclass(app.settings[SETTING], Usual)
    assert app.settings[SETTING] is not Usual
    assert app.settings["other"] == 1


def test_a_server_that_it_does_not_know_is_left_as_it_is(caplog):
    app = SimpleNamespace(settings={"other": 1})
    server = SimpleNamespace(web_app=app, log=logging.getLogger())
    prompt_link._load_jupyter_server_extension(server)
    assert app.settings == {"other": 1}
    assert SETTING in caplog.text


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment of its own to write into."""
    from jupyter_server.extension import serverextension

    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    folder = tmp_path / "etc" / "jupyter"
    monkeypatch.setattr(serverextension, "ENV_CONFIG_PATH", [str(folder)])
    return folder / "jupyter_server_config.d"


def test_it_is_switched_on_and_off(prefix: Path, capsys):
    for arguments, wanted, told in (
        ([], True, "at once"),
        ([], True, "at once"),
        (["--off"], False, "as usual"),
    ):
        assert main(arguments) == 0
        settings = json.loads((prefix / "lib.prompt_link.json").read_text())
        switched = settings["ServerApp"]["jpserver_extensions"]
        assert switched == {"lib.prompt_link": wanted}
        assert told in capsys.readouterr().out


def test_where_nothing_can_be_written_it_says_so(prefix: Path, capsys):
    prefix.parent.parent.mkdir(parents=True)
    prefix.parent.write_text("a file where a folder should be")
    assert main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Nothing was switched: ")
    assert "without it" in said
