"""No code of ours runs what a model's file or a record says: read from every file's syntax."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

ROOMS = ("stream", "features", "learner", "serving", "infra")

NEVER = {
    "pickle": "runs what the file says",
    "cPickle": "runs what the file says",
    "dill": "runs what the file says",
    "cloudpickle": "runs what the file says",
    "joblib": "unpickles",
    "shelve": "unpickles",
    "marshal": "crashes on a foreign file",
}

CALLS = {
    "torch.load": "unpickles: use safetensors",
    "torch.save": "pickles: use safetensors",
    "torch.hub.load": "runs code from the network",
    "yaml.load": "makes objects: use yaml.safe_load",
    "eval": "runs text",
    "exec": "runs text",
    "os.system": "a shell reads it",
}

PIPELINES = ("pipeline", "transformers.pipeline")
LOADERS = ("from_pretrained", "SentenceTransformer", "make_model", "make_tokenizer")
"""Calls that load by transformers' ways; the last two are what `learner.huggingface` hands out."""


def faults(source: str, name: str) -> Iterator[str]:
    """What a file does that it must not."""
    for node in ast.walk(ast.parse(source, name)):
        where = f"{name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in NEVER:
                    yield f"{where} imports {alias.name}"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in NEVER:
            yield f"{where} imports from {node.module}"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {word.arg: word.value for word in node.keywords}
            if called in CALLS:
                yield f"{where} calls {called}: it {CALLS[called]}"
            trust = given.get("trust_remote_code")
            if trust is not None and not _says(trust, False):
                yield f"{where} may trust remote code"
            if _truly(given.get("shell")) or _truly(given.get("allow_pickle")):
                yield f"{where} calls {called} with shell or allow_pickle"
            if called.rpartition(".")[2] in LOADERS or called in PIPELINES:
                words = "okenizer" in called or "Config" in called
                if not words and not _says(given.get("use_safetensors"), True):
                    yield f"{where} loads weights without use_safetensors=True"
                # A named class, LlamaModel say, is the library's own code whatever the folder says.
                named = called.endswith("Model.from_pretrained") and "Auto" not in called
                if not named and not _says(trust, False):
                    yield f"{where} does not say trust_remote_code=False"


def _says(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _truly(node: ast.expr | None) -> bool:
    return node is not None and not _says(node, False)


FILES = sorted(path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py"))


def test_no_file_of_the_product_unpickles_or_trusts_remote_code() -> None:
    assert len(FILES) > 100
    found = [
        fault
        for path in FILES
        for fault in faults(path.read_text("utf-8"), str(Path(path).relative_to(REPOSITORY)))
    ]
    assert found == []


@pytest.mark.parametrize(
    "bad",
    [
        "import pickle",
        "from joblib import load",
        "import torch; torch.load('x.pt')",
        "AutoModel.from_pretrained('m', trust_remote_code=False)",
        "AutoModel.from_pretrained('m', use_safetensors=True)",
        "AutoModel.from_pretrained('m', use_safetensors=True, trust_remote_code=True)",
        "AutoModel.from_pretrained('m', use_safetensors=True, trust_remote_code=wanted)",
        "AutoTokenizer.from_pretrained('m')",
        "numpy.load('x', allow_pickle=True)",
        "subprocess.run(words, shell=True)",
        "eval(text)",
    ],
)
def test_each_fault_would_be_seen(bad: str) -> None:
    assert list(faults(bad, "x.py"))


def test_what_is_right_is_let_through() -> None:
    right = "AutoModel.from_pretrained('m', use_safetensors=True, trust_remote_code=False)"
    assert list(faults(right, "x.py")) == []
