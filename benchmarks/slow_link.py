"""A slow link on this machine: a TCP proxy with a delay and a limited rate.

It stands between a browser and a server, both on the loopback interface, and behaves
as one line with two directions. In each, bytes leave one after the other at `rate`,
and arrive `delay` later. While `slow` is False, it passes everything on at once, so
that a page can load quickly before the line becomes slow.

Left out: loss and jitter. Real lines have both; the numbers here are a floor.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import suppress

CHUNK = 4096  # bytes; at 8 Mbit/s one takes 4 ms
BUFFER = 64  # chunks of one connection that wait in the line before TCP is held up


class SlowLink:
    """A proxy from `port` of 127.0.0.1, picked at random, to `target`.

    Args:
        target: port of 127.0.0.1 where the server listens.
        delay: seconds one way; the round trip takes twice that.
        rate: bits a second, in each direction, for all connections together.

    Attributes:
        slow: whether the line is slow now. May be changed while connections are open.
        passed: bytes so far, [to the server, to the browser].
    """

    def __init__(self, target: int, delay: float = 0.075, rate: float = 8e6) -> None:
        if not (delay >= 0 and rate > 0):
            raise ValueError(
                f"delay was {delay} and rate {rate}; give a delay of 0 s or more and "
                "a rate above 0 bit/s."
            )
        self.target, self.delay, self.rate = target, delay, rate
        self.slow = False
        self.passed = [0, 0]
        self._free = [0.0, 0.0]  # when each direction has sent all it was given
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> SlowLink:
        self._thread.start()
        self._call(self._open())
        return self

    def __exit__(self, *_error: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        mine = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)

    async def _join(self, reader, writer) -> None:
        """One connection of the browser: two directions until both have ended."""
        with suppress(OSError, asyncio.CancelledError):
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
            for end in (writer, back):  # else TCP itself would wait for more bytes
                end.get_extra_info("socket").setsockopt(
                    socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
                )
            await asyncio.gather(
                self._direction(0, reader, back), self._direction(1, there, writer)
            )

    async def _direction(self, way: int, reader, writer) -> None:
        line: asyncio.Queue = asyncio.Queue(BUFFER)
        send = asyncio.ensure_future(self._arrivals(line, writer))
        try:
            while data := await reader.read(CHUNK):
                await line.put((self._arrival(way, len(data)), data))
            await line.put((0.0, b""))
            await send
        except OSError:
            pass  # one side has gone: the other learns it by the end of its stream
        finally:
            send.cancel()
            with suppress(OSError):
                writer.close()

    def _arrival(self, way: int, size: int) -> float:
        """When these bytes, handed over now, have come through. 0 means at once."""
        self.passed[way] += size
        if not self.slow:
            return 0.0
        start = max(self._free[way], time.perf_counter())
        self._free[way] = start + 8 * size / self.rate
        return self._free[way] + self.delay

    async def _arrivals(self, line: asyncio.Queue, writer) -> None:
        while True:
            due, data = await line.get()
            if not data:
                return
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            writer.write(data)
            await writer.drain()
