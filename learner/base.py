"""A pretrained base as a folder: a Hugging Face model, and what belongs to it beside.

- `model.safetensors`, `config.json`: the transformer, as `LlamaModel.from_pretrained` reads it;
- `heads.safetensors`: projection, embeddings and output head, and a vector for each known item;
- `items.json`: the ids of these items, in the vectors' order;
- `tidemill.json`: shapes, encoder, figures, and the hashes of the other files. It is written last,
  so that files of two writings that a crash has mixed are told from a whole.

Every file is written under another name, flushed, and renamed. A folder without `tidemill.json` is
anyone's Llama: its transformer is taken, and heads and items start anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from safetensors.torch import load, save
from torch import Tensor

from learner.huggingface import LlamaModel, quietly
from stream.errors import SettingsError, shorten

if TYPE_CHECKING:
    from learner.behaviour import Behaviour
    from learner.tower import Residuals

FORMAT = 1
CONFIG, WEIGHTS, HEADS = "config.json", "model.safetensors", "heads.safetensors"
ITEMS, ABOUT = "items.json", "tidemill.json"

_VECTORS, _SQUARES = "items.vectors", "items.squares"
_FIELD = "`learner.model.base`"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What `tidemill.json` says."""

    format: int
    width: int
    layers: int
    steps: int
    """Events of the windows that it was trained on."""
    encoder: str
    """The text encoder whose vectors it was trained on; empty if there was no text."""
    text_width: int
    items: int
    figures: dict[str, Any]
    sha256: dict[str, str]


@dataclass(frozen=True, slots=True)
class Heads:
    """What a base knows beside its transformer: parameters by name, and its items."""

    about: About
    parameters: dict[str, Tensor]
    vectors_ND: Tensor
    squares_N: Tensor
    row_of: dict[str, int]

    def known(self, item_ids: Sequence[str]) -> tuple[list[int], list[int]]:
        """Where in the asked ids the known ones are, and where they are among the vectors."""
        found = [(n, row) for n, i in enumerate(item_ids) if (row := self.row_of.get(i, -1)) >= 0]
        return [n for n, _ in found], [row for _, row in found]


def save_base(  # noqa: PLR0913 - every one is a file's content
    folder: Path,
    model: Behaviour,
    residuals: Residuals,
    item_ids: Sequence[str],
    *,
    steps: int,
    encoder: str = "",
    figures: Mapping[str, Any] | None = None,
    beside: Mapping[str, bytes] | None = None,
) -> None:
    """Write a base.

    Parameters
    ----------
    folder
        Made if it isn't there; an older base in it is replaced.
    model
        Its adapters are left out: they follow a stream.
    residuals
        The admitted ones are saved.
    item_ids
        The id of every row.
    steps
        Events of the windows that it was trained on.
    encoder
        The text encoder's name; empty if there was no text.
    figures
        What to say of the training.
    beside
        Other files of this base, by name; their hashes are kept and checked with the others'.
    """
    folder.mkdir(parents=True, exist_ok=True)
    body = model.body.get_base_model()
    weights = {
        name.replace(".base_layer", ""): value.detach().cpu().contiguous()
        for name, value in body.state_dict().items()
        if "lora_" not in name
    }
    kept = residuals.state()
    heads = {
        name: value.detach().cpu().contiguous()
        for name, value in model.named_parameters()
        if "." not in name
    }
    heads[_VECTORS] = torch.from_numpy(kept["vectors_ND"].copy())
    heads[_SQUARES] = torch.from_numpy(kept["squares_N"].copy())
    ids = [item_ids[row] for row in kept["rows_N"].tolist()]
    shape = msgspec.json.decode(body.config.to_json_string())
    shape |= {"architectures": ["LlamaModel"], "dtype": "float32"}
    files = {
        WEIGHTS: save(weights, {"format": "pt"}),
        CONFIG: msgspec.json.format(msgspec.json.encode(shape), indent=2),
        HEADS: save(heads, {"format": "pt"}),
        ITEMS: msgspec.json.encode(ids),
        **(beside or {}),
    }
    about = About(
        format=FORMAT,
        width=model.width,
        layers=body.config.num_hidden_layers,
        steps=steps,
        encoder=encoder,
        text_width=model.project_DE.shape[1],
        items=len(ids),
        figures=dict(figures or {}),
        sha256={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    )
    files[ABOUT] = msgspec.json.format(msgspec.json.encode(about), indent=2)
    for name, data in files.items():
        _write(folder / name, data)


def load_transformer(folder: str) -> LlamaModel:
    """The transformer of a base.

    Raises
    ------
    SettingsError
        If the folder, its config or its weights are missing, or the weights are a pickle.
    """
    path = Path(folder)
    if not path.is_dir():
        raise _wrong(folder, "is no folder; `tidemill pretrain HISTORY -o` makes one")
    if not (path / WEIGHTS).is_file():
        pickles = sorted(p.name for form in _PICKLES for p in path.glob(form))
        if pickles:
            what = f"holds {pickles[0]}, which is a pickle and may run code when it is read"
            raise _wrong(folder, f"{what}: convert it to {WEIGHTS}")
        raise _wrong(folder, f"has no {WEIGHTS}; `tidemill pretrain HISTORY -o` writes one")
    if not (path / CONFIG).is_file():
        raise _wrong(folder, f"has no {CONFIG}; copy it from where {WEIGHTS} is from")
    try:
        with quietly():
            model = LlamaModel.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    except Exception as error:  # whatever the library raises, it is this setting that is wrong
        raise _wrong(folder, f"is not a Llama that can be read ({error})") from error
    return model.float()


def read_heads(folder: str, text_width: int) -> Heads | None:
    """What belongs to a base beside its transformer; `None` if it was not made by us.

    Raises
    ------
    SettingsError
        If a file is missing or is not the one that was written with the others, or if the text
        vectors have another width than those that the base was trained on.
    """
    path = Path(folder)
    if not (path / ABOUT).is_file():
        return None
    try:
        about = msgspec.json.decode((path / ABOUT).read_bytes(), type=About)
    except msgspec.MsgspecError as error:
        raise _wrong(
            folder, f"has a {ABOUT} that can't be read ({error}); pretrain again"
        ) from error
    if about.format != FORMAT:
        raise _wrong(folder, f"has format {about.format}, wanted {FORMAT}; pretrain again")
    data: dict[str, bytes] = {}
    for name, digest in about.sha256.items():
        if not (path / name).is_file():
            raise _wrong(folder, f"has no {name}; pretrain again, or copy the folder whole")
        data[name] = (path / name).read_bytes()
        if hashlib.sha256(data[name]).hexdigest() != digest:
            what = f"has a {name} that is not the one that {ABOUT} was written with"
            raise _wrong(folder, f"{what}: run `tidemill pretrain` again, or copy the folder whole")
    if about.encoder and about.text_width != text_width:
        message = (
            f"`learner.encoder.width` is {text_width}, but the base in {folder} was trained on "
            f"text vectors of width {about.text_width} (encoder {about.encoder}): use that "
            "encoder, or pretrain with yours"
        )
        raise SettingsError(message)
    parameters = load(data[HEADS])
    if not about.encoder:
        del parameters["project_DE"]
    vectors, squares = parameters.pop(_VECTORS), parameters.pop(_SQUARES)
    ids = msgspec.json.decode(data[ITEMS], type=list[str])
    return Heads(about, parameters, vectors, squares, {i: n for n, i in enumerate(ids)})


def _wrong(folder: str, what: str) -> SettingsError:
    return SettingsError(f"{_FIELD} is {shorten(folder, 300)}: it {what}")


def _write(path: Path, data: bytes) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
