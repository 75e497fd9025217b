"""`python -m launcher.reset_password [NAME]`: sets a new password for a user while the store runs, and prints it."""

from __future__ import annotations

import secrets
import sys

import config
from domain.errors import WorkerError
from gateway.mongo import open_store
from launcher.plan import STORE_FILE
from launcher.terminal import print_error, say
from runtime.revocation_counter import RevocationCounter
from services.shell_accounts import ShellAccounts
from services.users import UserAccounts


def main(arguments: list[str]) -> int:
    """Reset the password and return the exit status. All tokens of the user become invalid at once."""
    settings = config.load()
    username = arguments[0] if arguments else settings.admin_username
    uri = settings.mongo_uri.get_secret_value()
    embedded = settings.data_dir / STORE_FILE
    if "mongo_uri" not in settings.model_fields_set and embedded.exists():
        uri = embedded.read_text()
    password = secrets.token_urlsafe(12)
    store = open_store(uri, settings.secret_key.get_secret_value(), settings.data_dir)
    try:
        accounts = UserAccounts(store, RevocationCounter(settings.data_dir / "epoch"))
        ShellAccounts(accounts, store.audit).update(username, password)
    except WorkerError as exc:
        print_error(f"cannot reset the password of {username!r}: {exc.detail} (the store must be running)")
        return 1
    finally:
        store.close()
    say(f"The new password of {username} is {password}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
