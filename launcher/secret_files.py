"""Secrets that are generated once and stored in DATA_DIR, readable by the owner only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from launcher.errors import StartFailed


def private_directory(path: Path) -> Path:
    """Create `path` if necessary and limit its access to the owner. Raises StartFailed."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
    except OSError as exc:
        raise StartFailed(f"cannot use DATA_DIR {path}: {exc.strerror}") from None
    return path


def stored_secret(file: Path, size: int = 32) -> str:
    """Return the secret in `file`. Create it if it does not exist: `size` random bytes in URL-safe characters."""
    try:
        return file.read_text().strip() or _make(file, size)
    except FileNotFoundError:
        return _make(file, size)
    except OSError as exc:
        raise StartFailed(f"cannot read {file}: {exc.strerror}") from None


def _make(file: Path, size: int) -> str:
    secret = secrets.token_urlsafe(size)
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(secret + "\n")
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(file)
    return secret
