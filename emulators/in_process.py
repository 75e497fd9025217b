"""A core broker for all threads of a process: a lock, a clock and, given a directory, a journal on disk."""

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

Result = TypeVar("Result")


class EmulatorError(Exception):
    """An operation that cannot be done; the message says why in one sentence."""


class InProcessBroker:
    """A broker whose `core` is used only through `do`, which holds the lock. Users' callbacks never run there."""

    def __init__(self, directory: Path | None = None) -> None:
        """Store nothing without `directory`. Raises EmulatorError for one that cannot be used or is in use."""
        lock = threading.RLock()
        self._changed, self._earlier = threading.Condition(lock), threading.Condition(lock)
        try:
            self._storage = None if directory is None else Storage(directory)
            self.core = Broker() if self._storage is None else recover(self._storage, time.time())
        except JournalRefused as error:
            raise EmulatorError(str(error)) from error
        self.core.deadlines.on_earlier = lambda _: self._earlier.notify()
        self._closed = False
        if self._storage is not None:
            self._storage.start(lambda: None, self._from_writer)  # every `do` flushes
        threading.Thread(target=self._keep_time, name="emulator clock", daemon=True).start()

    def do(self, work: Callable[[float], Result], *, safely: bool = False) -> Result:
        """Call `work` with `now`, in epoch seconds, and return its result. With `safely`, wait until its records are on
        disk; a full disk delays that until space is free. Raises EmulatorError for the core's errors.
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
                    self._changed.wait_for(lambda: committed.is_set() or self._closed)  # `close` commits the rest
                return done
            except AmqpError as error:
                raise EmulatorError(error.text) from error
            finally:
                self._flush()
                self._changed.notify_all()

    def wait_for(self, found: Callable[[], Result], timeout: float | None = None) -> Result:
        """Call `found` after each change, as with `do`, until it returns a true value; return that, or the last value
        after `timeout` seconds. Other threads run meanwhile.
        """
        return self.do(lambda _: self._changed.wait_for(found, timeout))

    def _flush(self) -> None:
        if self._storage is not None and not self._closed:
            self._storage.flush()

    def _from_writer(self, callback: Callable[[], None]) -> None:
        """Run a callback of the journal's thread. After `close` there is nothing to do: `Storage.close` commits the
        rest.
        """
        with suppress(EmulatorError):
            self.do(lambda _: callback())

    def _keep_time(self) -> None:
        """Run the clock's thread. `do` runs what is due before its work, so calling it at the right time is enough."""
        with self._earlier:
            while not self._closed:
                due = self.do(lambda _: self.core.next_deadline())
                self._earlier.wait(None if due is None else max(0.0, due - time.time()))

    def close(self) -> None:
        """Commit the rest and release the directory."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._earlier.notify()
        if self._storage is not None:  # without the lock: the journal's thread may wait for it
            self._storage.close()


_running = defaultdict[str, InProcessBroker](InProcessBroker)
_running_lock = threading.Lock()


def shared(name: str) -> InProcessBroker:
    """Return the process's broker of that name, created at the first call. It is never closed, so that its messages
    stay.
    """
    with _running_lock:
        return _running[name]
