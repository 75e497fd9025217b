"""`python -m launcher`: starts everything, reports when it is ready, watches it, and stops it on Ctrl+C, SIGTERM or
SIGHUP.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from typing import IO

import config
from config import Settings
from launcher.api import Api
from launcher.errors import PortTaken, StartFailed
from launcher.lock import take_lock
from launcher.log_files import LogTail, last_line
from launcher.plan import Plan, make_plan
from launcher.secret_files import private_directory
from launcher.supervisor import Supervisor
from launcher.terminal import print_error, report, say
from launcher.welcome import welcome

START_SECONDS = 90
QUIET_SECONDS = 5
"""A start that takes longer says what it waits for."""
_PORT_RACES = 3


class StopSignal:
    """Records whether an operator has sent a stop signal."""

    def __init__(self) -> None:
        self.received = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, self._note)

    def _note(self, *_: object) -> None:
        self.received = True


def main() -> int:
    """Run the service until a stop signal. Return the exit status, 0 after an orderly stop."""
    os.umask(0o077)
    stop = StopSignal()
    try:
        settings = config.load()
        lock = take_lock(private_directory(settings.data_dir))
        for _ in range(_PORT_RACES):
            with suppress(PortTaken):
                return _start(settings, lock, stop)
        return _start(settings, lock, stop)
    except StartFailed as exc:
        print_error(str(exc))
        return 1


def _start(settings: Settings, lock: IO[str], stop: StopSignal) -> int:
    plan = make_plan(settings, settings.data_dir)
    supervisor = Supervisor(plan, lock)
    try:
        return _run(plan, supervisor, stop)
    finally:
        supervisor.end()


def _run(plan: Plan, supervisor: Supervisor, stop: StopSignal) -> int:
    began = time.monotonic()
    logs = [LogTail(plan.data_dir / "logs" / f"{program.name}.log") for program in plan.programs]
    api = Api(plan.url, {program.name for program in plan.programs})
    if _until_ready(plan, supervisor, stop, api):
        say(welcome(plan, time.monotonic() - began, plan.admin.login_to_show(api)))
        _watch(plan, supervisor, stop, logs)
    say(f"Stopping. Deliveries in flight finish or return to their queues within {plan.stop_timeout} s …")
    supervisor.end()
    say("Stopped.")
    return 0


def _until_ready(plan: Plan, supervisor: Supervisor, stop: StopSignal, api: Api) -> bool:
    began, told = time.monotonic(), False
    while not stop.received:
        _check(supervisor)
        for exited in supervisor.exits():
            log = plan.data_dir / "logs" / f"{exited.program}.log"
            why = last_line(log)
            failure = PortTaken if "address already in use" in why.lower() else StartFailed
            raise failure(f"{exited.program} exited at the start ({exited.how}): {why} (more in {log})")
        if {program.name for program in plan.programs} <= supervisor.up and api.ready():
            return True
        waited = time.monotonic() - began
        if waited > START_SECONDS:
            reason = api.down() or api.last
            raise StartFailed(f"not ready after {START_SECONDS} s: {reason} (logs in {plan.data_dir / 'logs'})")
        if waited > QUIET_SECONDS and not told and (reason := api.down()):
            report(f"waiting up to {START_SECONDS} s: {reason}")
            told = True
        time.sleep(0.1)
    return False


def _watch(plan: Plan, supervisor: Supervisor, stop: StopSignal, logs: list[LogTail]) -> None:
    while not stop.received:
        _check(supervisor)
        for exited in supervisor.exits():
            report(f"{exited.program} exited ({exited.how}) and restarts; logs in {plan.data_dir / 'logs'}")
        for log in logs:
            if events := log.new_events():
                more = f" (and {len(events) - 1} more)" if len(events) > 1 else ""
                report(f"{log.file.stem}: {events[-1]}{more}")
        time.sleep(0.5)


def _check(supervisor: Supervisor) -> None:
    if why := supervisor.ended():
        raise StartFailed(f"the supervisor exited ({why}); the other programs were stopped")


if __name__ == "__main__":
    sys.exit(main())
