"""The page of files: a line per file, from its own docstring. `python -m tests.tree` writes it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "FILES.md"
ROOMS = ("stream", "features", "learner", "serving", "infra")

_HEAD = """\
# What is where

A line per file, from the file's own first words. `python -m tests.tree` writes this page.
"""


def first_words(path: Path) -> str:
    """The first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.split("\n\n")[0].split())


def page() -> str:
    """The page as it should be."""
    parts = [_HEAD]
    for room in ROOMS:
        parts.append(f"\n## {room}\n\n{first_words(ROOT / room / '__init__.py')}\n\n")
        parts.append("| file | what it does |\n|---|---|\n")
        for path in sorted((ROOT / room).rglob("*.py")):
            if path.name != "__init__.py":
                words = first_words(path).replace("|", "\\|")
                parts.append(f"| `{path.relative_to(ROOT)}` | {words} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
