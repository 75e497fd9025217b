"""A broker in a thread of another program: for tests and programs that need a separate broker."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from pathlib import Path

from broker.server import Server
from broker.session.transport import ConnectionLimits


class BrokerThread(threading.Thread):
    """The thread of a Server and its event loop. Others may call `start`, `wait_ready` and `stop`, nothing else."""

    def __init__(self, data_dir: Path | None, user: str, password: str, limits: ConnectionLimits | None = None) -> None:
        super().__init__(name="broker", daemon=True)
        self._data_dir = data_dir
        self._limits = limits
        self._login = (user, password)
        self._ready: Future[int] = Future()
        self._ending: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _serve(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        server = Server(self._data_dir, self._limits)
        server.core.add_user(*self._login, ("administrator",))
        server.core.permit(self._login[0], "/")
        await server.start()
        self._ready.set_result(await server.listen("127.0.0.1", 0))
        await self._ending.wait()
        await server.stop()

    def wait_ready(self) -> int:
        """Wait until the broker accepts connections and return its port. Raises the error that stopped the start."""
        return self._ready.result()

    def stop(self) -> None:
        """Stop the broker and wait for the thread to end."""
        if self._loop is not None and self._ending is not None and self.is_alive():
            self._loop.call_soon_threadsafe(self._ending.set)
        self.join()
