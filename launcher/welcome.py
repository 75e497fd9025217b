"""The text for the operator when the service is ready: address, login, commands to try, next steps."""

from __future__ import annotations

import json
import shlex

from launcher import ports
from launcher.plan import Plan

TARGET_PORT = 8099

_TEXT = """
WorkerRMQ is ready after {seconds:.1f} s at {plan.url}
  login   {login}
  broker  {plan.broker}
  store   {plan.store}
  files   {plan.data_dir} (messages, queues, consumers, users; logs in {plan.data_dir}/logs)
Ctrl+C stops it. To try it, paste this into another terminal, in this directory. The target then prints the message:

python3 examples/target.py {target_port} &   # a target that prints its requests; `kill %1` stops it
{curls}

The dashboard is at {plan.url}/ and the command line is `flask rmq`: `. .venv/bin/activate`, then
`flask rmq --url {plan.url} login` and `flask rmq --help`. docs/TUTORIAL.md is a tutorial of ten minutes.
"""

_READ_TOKEN = r"""sed 's/.*"token": *"\([^"]*\)".*/\1/'"""


def welcome(plan: Plan, seconds: float, new_password: str) -> str:
    """Return the text. `new_password` is shown only now; empty if there is none to show."""
    target_port = ports.usual_or_free(TARGET_PORT)
    curls = "\n".join(_curls(plan, target_port, new_password or "THE-PASSWORD"))
    return _TEXT.format(
        plan=plan, seconds=seconds, login=_login(plan, new_password), target_port=target_port, curls=curls
    )


def _login(plan: Plan, new_password: str) -> str:
    name = plan.admin.username
    if plan.admin.given:
        return f"{name}, with your ADMIN_PASSWORD"
    if new_password:
        return f"{name}, password {new_password} (shown only once: keep it)"
    return f"{name}, with the password shown at the first start (to reset it: ./run.sh reset-password {name})"


def _curls(plan: Plan, target_port: int, password: str) -> list[str]:
    login = {"username": plan.admin.username, "password": password}
    queue = {"queueName": "orders"}
    consumer = {"queueName": "orders", "url": f"http://127.0.0.1:{target_port}/"}
    message = {"queueName": "orders", "message": "Hello, World!"}
    return [
        f"TOKEN=$({_curl(plan, 'login', login)} | {_READ_TOKEN})",
        f"{_curl(plan, 'createQueue', queue)}; {_curl(plan, 'createConsumer', consumer)}",
        _curl(plan, "messagePublish", message),
    ]


def _curl(plan: Plan, path: str, body: dict[str, str]) -> str:
    token = "" if path == "login" else ' -H "Authorization: Bearer $TOKEN"'
    return f"curl -s {plan.url}/{path}{token} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}"
