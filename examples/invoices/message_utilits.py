"""Messages with a PDF inside: JSON, with the file in Base64."""

import json
from base64 import b64decode, b64encode
from functools import partial
from pathlib import Path
from typing import Any

say = partial(print, flush=True)


class InvoiceError(Exception):
    """What is wrong with a message, a file or the broker, in one sentence."""


def create_pdf_msg(event: str, sender: str, receiver: str, filepath: Path | str) -> str:
    """The message, with the PDF at `filepath`. Raises InvoiceError when that cannot be read."""
    path = Path(filepath)
    try:
        pdf = b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise InvoiceError(f"The PDF {path} cannot be read: {error.strerror}.") from error
    return json.dumps({"event": event, "sender": sender, "receiver": receiver, "filename": path.name, "pdf": pdf})


def decode_pdf_msg(body: str | bytes, save_dir: Path | str = "pdfs/restored") -> dict[str, Any]:
    """The message; its PDF is now in `save_dir`. Raises InvoiceError when it is malformed, or cannot be saved."""
    try:
        message: dict[str, Any] = json.loads(body)
        path = Path(save_dir, Path(message["filename"]).name)  # whatever folder the sender wrote
        pdf = b64decode(message["pdf"], validate=True)
        Path(save_dir).mkdir(parents=True, exist_ok=True)
        path.write_bytes(pdf)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvoiceError(f"The message is not JSON: {error}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InvoiceError(f"The message must have a filename, and a pdf in Base64, but: {error}.") from error
    except OSError as error:
        raise InvoiceError(f"The message's PDF cannot be saved in {save_dir}: {error.strerror}.") from error
    return message
