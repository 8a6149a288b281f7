r"""Logs: one line per record, with the role's name, on standard error.

What comes from outside (ids, broker messages) can't forge a line: line breaks and control
characters are escaped. Tracebacks are the exception, on lines of their own that begin with `  | `.

>>> import logging
>>> record = logging.LogRecord("stream.x", 20, "", 0, "user %s", ("ann\n2026 ERROR",), None)
>>> record.created = 0.0
>>> LineFormatter("serving").format(record)
'1970-01-01T00:00:00.000Z INFO    serving x: user ann\\n2026 ERROR'
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

NOISY = (
    "aiokafka",
    "kafka",
    "faust",
    "mode",
    "feast",
    "transformers",
    "httpx",
    "urllib3",
    "asyncio",
    "numexpr",
    "torch",
    "jgo",
)
"""Libraries that tell their life at INFO; their warnings still come through."""

SERVICE_MARK = "[^"
"""How Faust's services begin their lines ("[^--Fetcher]: Starting..."), in whose name they do."""

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    0x0A: "\\n",
    0x0D: "\\r",
    0x09: "\\t",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
"""Control characters and all that some viewer takes for a line break."""

_ESCAPES |= {
    code: f"\\u{code:04x}"
    for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
"""Marks of writing direction: with them an id could show the rest of its line in another order."""


def escaped(text: str) -> str:
    r"""A text in one line.

    >>> print(escaped("two\nlines \x1b[31mred"))
    two\nlines \x1b[31mred
    """
    return text.translate(_ESCAPES)


class LineFormatter(logging.Formatter):
    """Readable on a terminal: time, level, role, module, message."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback follows on marked lines."""
        module = record.name.rpartition(".")[2]
        line = (
            f"{_time(record)} {record.levelname:<7} {self._role} {module}: "
            f"{escaped(record.getMessage())}"
        )
        if record.exc_info and record.exc_info[0] is not None:
            trace = self.formatException(record.exc_info).splitlines()
            line += "".join(f"\n  | {escaped(part)}" for part in trace)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object per record."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """One line, without exception."""
        said = {
            "time": _time(record),
            "level": record.levelname,
            "role": self._role,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said)


def configure_logging(role: str, level: str = "INFO", *, as_json: bool = False) -> None:
    """Send all logs of this process to standard error, in our format only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(role) if as_json else LineFormatter(role))
    handler.addFilter(_is_ours)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)


def _is_ours(record: logging.LogRecord) -> bool:
    chatter = record.levelno < logging.WARNING and str(record.msg).startswith(SERVICE_MARK)
    return not chatter


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
