"""What `tidemill pretrain --meta` learns of newcomers, in the base's folder as safetensors.

Two parts, both learnt from episodes of a recorded log and both on texts: a map in which a user's
taste is the mean of their items (`learner.meta.prototypes`, users being the classes), and a head
that adapts (`learner.meta.taste`).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save

from learner.meta.config import MetaConfig, TasteConfig
from learner.meta.prototypes import PrototypeMap, learn_map
from learner.meta.taste import Taste, learn_taste
from learner.sequences import Sequences

FILE = "meta.safetensors"


class Trained(NamedTuple):
    """Both parts."""

    map: PrototypeMap
    taste: Taste


def train_meta(
    vector_IE: NDArray[np.float32],
    sequences: Sequences,
    config: MetaConfig,
) -> Trained:
    """Train both on the users of a log.

    Raises
    ------
    ValueError
        If there are not two users with two events.
    """
    vector_IE = np.ascontiguousarray(vector_IE, np.float32)
    learnt = learn_map(vector_IE[sequences.rows_N], sequences.user_N, config.prototypes)
    return Trained(learnt, learn_taste(vector_IE, sequences, config.taste))


def to_bytes(trained: Trained) -> bytes:
    """As a safetensors file."""
    tensors = {f"map.{name}": value for name, value in trained.map.state_dict().items()}
    tensors |= {f"taste.{name}": value for name, value in trained.taste.state_dict().items()}
    about = {"steps": trained.taste.steps, "support": trained.taste.support}
    said = {"format": "pt", "tidemill": msgspec.json.encode(about).decode()}
    return bytes(save({name: value.contiguous() for name, value in tensors.items()}, said))


def from_bytes(data: bytes) -> Trained:
    """Read what `to_bytes` made."""
    tensors = load(data)
    header = int.from_bytes(data[:8], "little")
    said = msgspec.json.decode(data[8 : 8 + header])["__metadata__"]["tidemill"]
    about = msgspec.json.decode(said, type=dict[str, int])

    def part(name: str) -> dict[str, torch.Tensor]:
        start = f"{name}."
        return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}

    own = part("map")
    width, rank = own["down_ER"].shape
    learnt = PrototypeMap(width, rank, seed=0)
    learnt.load_state_dict(own)
    own = part("taste")
    config = TasteConfig(
        width=len(own["project_DE"]), steps=about["steps"], support=about["support"]
    )
    taste = Taste(own["reference_ME"], own["offset_M"], config)
    taste.load_state_dict(own)
    return Trained(learnt.eval(), taste.eval())


def read_meta(folder: str) -> Trained | None:
    """What a base knows of newcomers; `None` if it was made without `--meta`.

    The file's hash is checked with the others of the base (`learner.base.read_heads`).
    """
    path = Path(folder) / FILE
    return from_bytes(path.read_bytes()) if folder and path.is_file() else None
