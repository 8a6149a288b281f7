"""What serving knows of calibration: the probability of a click by surface, score and place.

The learner publishes it on `calibrations`; until it has, everything is clicked as rarely as
`learner.calibration` assumes, so that ads are ranked by their bids.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from safetensors.numpy import load as load_arrays

from learner.calibration import Calibration, Floats, Ints
from stream.batching import Record
from stream.events import decode_calibrated
from stream.parse_faults import decode_own

_log = logging.getLogger(__name__)


class Clicks:
    """The newest calibration of each shop."""

    def __init__(self) -> None:
        self._of: dict[str, Calibration] = {}

    def hear(self, record: Record) -> None:
        """Take a record of `calibrations`; one that can't be read is logged and passed over."""
        try:
            said = decode_own(record.value, decode_calibrated, "a calibration", "the learner")
            self._of[said.tenant or ""] = Calibration.of_state(load_arrays(said.arrays))
        except Exception as error:
            _log.warning("calibrations@%d can't be read, left out: %s", record.offset, error)

    def on(self, tenant: str, surface: str) -> Callable[[Floats, Ints], Floats]:
        """The probability of a click on a shop's surface, by score and place from 1."""
        return partial(self._of.get(tenant, _UNKNOWN).predict, surface)


_UNKNOWN = Calibration()
