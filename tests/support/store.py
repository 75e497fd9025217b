"""The embedded document store (nx-27017, MongoDB's wire protocol) as a process, for real pymongo."""

from __future__ import annotations

import sys
from pathlib import Path

import pymongo
from pymongo.errors import PyMongoError

from tests.support.processes import Process, free_port
from tests.support.server import Server


class StoreNode(Server):
    """The store. It is ready in about a second."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"mongodb://127.0.0.1:{self.port}"
        program = str(Path(sys.executable).with_name("nx-27017"))
        place = ["--host", "127.0.0.1", "--port", str(self.port), "--data-dir", str(directory / "data")]
        files = ["--log-file", str(directory / "nx.log"), "--pid-file", str(directory / "nx.pid")]
        command = [program, *place, *files]
        self.process = Process(command, directory / "store.log")

    def start(self) -> None:
        self.process.start()
        self.process.wait_ready(self.ready, 60)

    def ready(self) -> bool:
        """Return whether it answers a ping within a second."""
        try:
            with pymongo.MongoClient[dict[str, object]](self.url, serverSelectionTimeoutMS=1000) as client:
                client.admin.command("ping")
            return True
        except PyMongoError:
            return False

    def uri(self, database: str) -> str:
        """Return the connection string of a database; each test needs its own name."""
        return f"{self.url}/{database}"

    def reset(self) -> None:
        """Start the store if necessary, and drop its databases."""
        if not self.process.running:
            self.start()
        with pymongo.MongoClient[dict[str, object]](self.url) as client:
            for name in client.list_database_names():
                if name not in {"admin", "local", "config"}:
                    client.drop_database(name)
