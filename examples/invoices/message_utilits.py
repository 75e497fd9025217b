"""Messages that contain a PDF: JSON with the file in Base64."""

import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any


def say(text: str) -> None:
    """Print a line at once, without mixing it with other threads' lines."""
    print(f"{text}\n", end="", flush=True)


class InvoiceError(Exception):
    """A wrong message, file or broker; the message says why in one sentence."""


def create_pdf_msg(event: str, sender: str, receiver: str, filepath: Path | str) -> str:
    """Return a message with the PDF at `filepath`. Raises InvoiceError for an unreadable file."""
    path = Path(filepath)
    try:
        pdf = b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise InvoiceError(f"The PDF {path} cannot be read: {error.strerror}.") from error
    return json.dumps({"event": event, "sender": sender, "receiver": receiver, "filename": path.name, "pdf": pdf})


def decode_pdf_msg(body: str | bytes, save_dir: Path | str = "pdfs/restored") -> dict[str, Any]:
    """Return the message and save its PDF in `save_dir`. Raises InvoiceError for a malformed message, or if saving
    fails.
    """
    try:
        message: dict[str, Any] = json.loads(body)
        path = Path(save_dir, Path(message["filename"]).name)  # ignore the sender's folder
        pdf = b64decode(message["pdf"], validate=True)
        Path(save_dir).mkdir(parents=True, exist_ok=True)
        path.write_bytes(pdf)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvoiceError(f"The message is not JSON: {error}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InvoiceError(f"The message requires a filename and a pdf in Base64: {error}.") from error
    except OSError as error:
        raise InvoiceError(f"The message's PDF cannot be saved in {save_dir}: {error.strerror}.") from error
    return message
