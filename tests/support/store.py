"""A document store (MongoDB's wire protocol) as a process, for real pymongo."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pymongo
from pymongo.errors import PyMongoError

from tests.support.processes import Process, free_port
from tests.support.programs import find, unavailable
from tests.support.server import Server

_JAVA = Path(__file__).with_name("mongo_java_server")
_JARS = Path(os.environ.get("MONGO_JAVA_SERVER") or "/var/cache/workerrmq/mongo-java-server")


class StoreNode(Server):
    """The embedded store, nx-27017. It is ready in about a second."""

    expires = True
    """whether it deletes documents by TTL indexes"""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"mongodb://127.0.0.1:{self.port}"
        self.process = Process(self._command(directory), directory / "store.log")

    def _command(self, directory: Path) -> list[str]:
        program = str(Path(sys.executable).with_name("nx-27017"))
        place = ["--host", "127.0.0.1", "--port", str(self.port), "--data-dir", str(directory / "data")]
        return [program, *place, "--log-file", str(directory / "nx.log"), "--pid-file", str(directory / "nx.pid")]

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


class JavaStoreNode(StoreNode):
    """mongo-java-server, which fetch.sh beside its source gets from Maven Central. It says that it is MongoDB 4.4."""

    expires = False

    def _command(self, directory: Path) -> list[str]:
        java = find("java")
        if java is None or not _JARS.is_dir():
            unavailable("TEST_STORE", f"no java, or no jars in {_JARS}; {_JAVA}/fetch.sh gets them")
        source = str(_JAVA / "Store.java")
        return [str(java), "-cp", f"{_JARS}/*", source, str(self.port), str(directory / "store.mv")]


STORES = {"nx-27017": StoreNode, "mongo-java-server": JavaStoreNode}
"""By the name that TEST_STORE gives to the one that tests run on; by default the first."""


def store_to_test(directory: Path) -> StoreNode:
    """The store of the tests, not yet started."""
    return STORES[os.environ.get("TEST_STORE") or "nx-27017"](directory)
