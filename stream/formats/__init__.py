"""Recorded logs, our own and public ones, as the records that their shop would have sent.

Read `log.py` (what a log is), `detect.py` (which format it has), then the format that you need.
"""

from stream.formats.detect import open_log
from stream.formats.log import Log, LogRecord

__all__ = ["Log", "LogRecord", "open_log"]
