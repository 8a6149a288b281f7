"""Stand-ins for modules that libraries import and we never call: imports are most of a start."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType


@contextmanager
def stand_ins(*modules: ModuleType) -> Iterator[None]:
    """While something is imported for the first time, these stand for modules of their names.

    A module that is already loaded stays. After the block nothing of a stand-in is left but what
    was taken from it: whoever imports such a module then gets the real one.

    >>> import sys
    >>> with stand_ins(slim("heavy_module", answer=42)):
    ...     from heavy_module import answer
    >>> answer, "heavy_module" in sys.modules
    (42, False)
    """
    new = {module.__name__: module for module in modules if module.__name__ not in sys.modules}
    sys.modules.update(new)
    try:
        yield
    finally:
        for name, module in new.items():
            del sys.modules[name]
            package, _, last = name.rpartition(".")
            inside = vars(sys.modules[package]) if package in sys.modules else {}
            if inside.get(last) is module:
                del inside[last]


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
