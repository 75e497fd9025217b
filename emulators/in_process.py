"""One core broker for all threads of a process: a lock, a clock and, given a directory, a journal on disk."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from broker.core.broker import Broker
from broker.errors import AmqpError
from broker.journal_file import JournalRefused
from broker.recovery import recover
from broker.storage import Storage

Found = TypeVar("Found")


class EmulatorError(Exception):
    """What was asked for cannot be; says why in one sentence."""


class InProcessBroker:
    """Whoever uses `core` has it done by `do`, which holds the lock; users' callbacks never run there."""

    def __init__(self, directory: Path | None = None) -> None:
        """Without `directory` nothing is kept. Raises EmulatorError when that cannot be used, as while in use."""
        lock = threading.RLock()
        self._changed, self._earlier = threading.Condition(lock), threading.Condition(lock)
        try:
            self._storage = None if directory is None else Storage(directory)
            self.core = Broker() if self._storage is None else recover(self._storage, time.time())
        except JournalRefused as refusal:
            raise EmulatorError(str(refusal)) from refusal
        self.core.deadlines.on_earlier = lambda _: self._earlier.notify()
        self._closed = False
        if self._storage is not None:
            self._storage.start(lambda: None, self._from_writer)  # every `do` flushes: no need to be told when
        threading.Thread(target=self._keep_time, name="emulator clock", daemon=True).start()

    def do(self, work: Callable[[float], Found], *, safely: bool = False) -> Found:
        """What one use of `core` comes to: `work` is given `now`, in epoch seconds. `safely` returns when all that it
        recorded is on disk; on a full disk that is when there is room again. Raises EmulatorError for what the core
        refuses.
        """
        with self._changed:
            if self._closed:
                raise EmulatorError("The broker is closed.")
            now, journal = time.time(), self.core.journal
            recorded = journal.records
            try:
                self.core.tick(now)
                done = work(now)
                if safely and journal.records != recorded:
                    committed = threading.Event()
                    journal.on_commit(committed.set)
                    self._flush()
                    self._changed.wait_for(lambda: committed.is_set() or self._closed)  # what is left, `close` commits
                return done
            except AmqpError as refusal:
                raise EmulatorError(refusal.text) from refusal
            finally:
                self._flush()
                self._changed.notify_all()

    def wait_for(self, found: Callable[[], Found], timeout: float | None = None) -> Found:
        """The first true value of `found`, which is asked after each change, or its last after `timeout` seconds; what
        is done so as with `do`. Meanwhile others have their turn.
        """
        return self.do(lambda _: self._changed.wait_for(found, timeout))

    def _flush(self) -> None:
        if self._storage is not None and not self._closed:
            self._storage.flush()

    def _from_writer(self, news: Callable[[], None]) -> None:
        """The journal's thread tells the core. Once closed, nobody flushes: `Storage.close` commits what is left."""
        with suppress(EmulatorError):
            self.do(lambda _: news())

    def _keep_time(self) -> None:
        """The clock's thread: whatever is done, what is due is done first; so it does nothing, at the right time."""
        with self._earlier:
            while not self._closed:
                due = self.do(lambda _: self.core.next_deadline())
                self._earlier.wait(None if due is None else max(0.0, due - time.time()))

    def close(self) -> None:
        """Commit what is left and let the directory go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._earlier.notify()
        if self._storage is not None:  # without the lock, for which the journal's thread may wait
            self._storage.close()


_running = defaultdict[str, InProcessBroker](InProcessBroker)
_entrance = threading.Lock()


def shared(name: str) -> InProcessBroker:
    """The process's broker of that name, started for the first who asks. It lives on, for its messages' sake."""
    with _entrance:
        return _running[name]
