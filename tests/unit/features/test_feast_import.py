"""Feast without what an online store has no use for; a role's start depends on it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from features.feast_import import light_imports

LOOK = """
import json, sys, typeguard
real = typeguard.typechecked
import features.store_config
early = "feast" in sys.modules
import features.store_feast
from feast import FeatureView
print(json.dumps({
    "early": early,
    "torch": "torch" in sys.modules,
    "restored": typeguard.typechecked is real,
    "rewritten": "typeguard" in FeatureView.__init__.__code__.co_names,
}))
"""


def test_neither_pytorch_nor_type_checks_come_with_it() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", LOOK], capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(answer.stdout) == {
        "early": False,
        "torch": False,
        "restored": True,
        "rewritten": False,
    }


def test_a_failed_import_leaves_nothing_behind() -> None:
    import typeguard  # noqa: PLC0415 - what is looked at

    real, known = typeguard.typechecked, "torch" in sys.modules
    with pytest.raises(ModuleNotFoundError), light_imports():
        import no_such_module  # type: ignore[import-not-found]  # noqa: F401, PLC0415
    assert typeguard.typechecked is real
    assert ("torch" in sys.modules) == known


def test_the_feast_command_accepts_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with light_imports():
        from feast.repo_config import load_repo_config  # noqa: PLC0415
        from feast.repo_operations import apply_total  # noqa: PLC0415

    source = Path(__file__).parents[3] / "features" / "feature_repo"
    for name in ("definitions.py", "feature_store.yaml"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    apply_total(
        load_repo_config(tmp_path, tmp_path / "feature_store.yaml"),
        tmp_path,
        skip_source_validation=True,
    )
    assert (tmp_path / "data" / "registry.db").exists()
    assert (tmp_path / "data" / "online.db").exists()
