"""The example of LightGBM on exported features: it runs, and the features pay."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "lightgbm_on_features.py"


def test_the_features_pay(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lightgbm")
    spec = importlib.util.spec_from_file_location("lightgbm_on_features", EXAMPLE)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    found = example.main(["--events", "2000", "--shoppers", "40", "--choices", "1000"])
    assert found["with"].ndcg10 > 1.1 * found["without"].ndcg10, found
    assert '"with"' in capsys.readouterr().out
