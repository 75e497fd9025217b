"""RabbitMQ's programs: those of this host, or those of another Debian below a root directory."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import find

_DEBIAN = "/usr/lib/rabbitmq/bin"
_ENTER = ["chroot"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "chroot"]


@dataclass(frozen=True)
class Programs:
    """The programs that a RabbitNode runs. `root` is the directory to chroot into; None stands for this host."""

    name: str
    """The name of the broker fixture, and REQUIRE_<NAME> makes a missing one a failure."""
    root: Path | None = None

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command line that runs a program in the foreground, as the process that the caller starts."""
        if self.root is None:
            return [_on_host(program) or program, *arguments]
        return [*_ENTER, str(self.root), _in_root(self.root, program) or program, *arguments]

    @property
    def missing(self) -> str:
        """The reason why these programs cannot run; empty if they can."""
        if self.root is None:
            absent = [name for name in ("rabbitmq-server", "epmd") if _on_host(name) is None]
            return f"not installed, which .ci/run does: {', '.join(absent)}" if absent else ""
        absent = [name for name in ("rabbitmq-server", "epmd") if _in_root(self.root, name) is None]
        return f"no RabbitMQ in {self.root}; tests/support/rabbitmq4_root.sh makes it" if absent else ""

    def make_directory(self, wanted: Path) -> Path:
        """Return a new directory that the programs can reach: `wanted`, or one in the root's /var/tmp."""
        wanted.mkdir(parents=True, exist_ok=True)
        if self.root is None:
            return wanted
        return Path(tempfile.mkdtemp(prefix="workerrmq-", dir=self.root / "var/tmp"))

    def discard_directory(self, made: Path) -> None:
        """Delete a directory of `make_directory` that lies in the root. The caller's own stays, with its logs."""
        if self.root is not None:
            shutil.rmtree(made, ignore_errors=True)

    def inside(self, path: Path) -> str:
        """Return a path of this host as the programs see it."""
        return str(path) if self.root is None else f"/{path.relative_to(self.root)}"


def _on_host(program: str) -> str | None:
    place = find(program)
    # Debian's wrappers change user and directory; the scripts behind them do not.
    script = f"{_DEBIAN}/{program}"
    wrapped = place is not None and Path(place).parent.resolve() == Path("/usr/sbin") and os.path.exists(script)
    return script if wrapped else place


def _in_root(root: Path, program: str) -> str | None:
    places = (f"{directory}/{program}" for directory in (_DEBIAN, "/usr/local/bin", "/usr/bin"))
    return next((place for place in places if os.path.lexists(f"{root}{place}")), None)


RABBITMQ = Programs("rabbitmq")
"""The host's own: 3.10 on Debian 12."""
RABBITMQ4 = Programs("rabbitmq4", Path(os.environ.get("RABBITMQ4_ROOT") or "/var/cache/workerrmq/rabbitmq4").resolve())
"""RabbitMQ 4 in the root that tests/support/rabbitmq4_root.sh makes."""
