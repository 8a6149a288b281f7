from __future__ import annotations

from tests.tree import PAGE, ROOMS, ROOT, first_words, page


def test_the_page_of_files_says_what_is_there() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.tree"


def test_every_file_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if not first_words(path)
    ]
    assert not silent
