"""Stand-ins for modules that libraries import and we never call: imports are most of a start."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType


@contextmanager
def stand_ins(*modules: ModuleType, absent: Iterable[str] = ()) -> Iterator[None]:
    """While something is imported for the first time, these stand for modules of their names.

    Those that are absent are not found meanwhile, as if they weren't installed. A module that is
    already loaded stays. After the block nothing of a stand-in is left but what was taken from it:
    whoever imports such a module then gets the real one.

    >>> import sys
    >>> with stand_ins(slim("heavy_module", answer=42), absent=("heavy_other",)):
    ...     from heavy_module import answer
    ...     sys.modules["heavy_other"]
    >>> answer, "heavy_module" in sys.modules, "heavy_other" in sys.modules
    (42, False, False)
    """
    wanted: dict[str, ModuleType | None] = dict.fromkeys(absent)
    wanted |= {module.__name__: module for module in modules}
    new = {name: module for name, module in wanted.items() if name not in sys.modules}
    sys.modules.update(new)  # type: ignore[arg-type] # Python's own mark of an absent module
    try:
        yield
    finally:
        for name, module in new.items():
            del sys.modules[name]
            package, _, last = name.rpartition(".")
            holder = sys.modules.get(package)
            if module is not None and holder is not None and vars(holder).get(last) is module:
                delattr(holder, last)


def slim(name: str, **holds: object) -> ModuleType:
    """Make a module that holds just this."""
    module = ModuleType(name)
    vars(module).update(holds)
    return module


def deferred(name: str) -> ModuleType:
    """Make a module that becomes the real one's shadow when something of it is first wanted.

    `from module import name` wants something of it; `import module` doesn't, nor does
    `from package import module`.

    >>> with stand_ins(deferred("zipapp")):
    ...     import zipapp
    >>> zipapp.create_archive.__module__
    'zipapp'
    """

    def wanted(attribute: str) -> object:
        real = sys.modules.get(name)
        if attribute.startswith("__") or real is module:
            msg = f"{name} is not loaded yet, so it has no {attribute}"
            raise AttributeError(msg)
        return getattr(import_module(name), attribute)

    module = slim(name, __getattr__=wanted)
    return module
