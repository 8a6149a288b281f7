"""Settings: the sum of the rooms' config structs, each value with the place that it came from.

In rising order: the default in the struct, `tidemill.toml`, the environment
(`TIDEMILL_<SECTION>_<KEY>`), the command line (`--set section.key=value`). A struct's module is
imported only when its section is asked for or set: no role imports another role's libraries.
"""

from __future__ import annotations

import difflib
import importlib
import json
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from infra.settings_fields import Field, allowed, convert, fields_of, shown
from stream.errors import SettingsError

SECTIONS: dict[str, str] = {
    "run": "infra.config:RunConfig",
    "kafka": "stream.connect:KafkaConfig",
    "broker": "infra.config:BrokerConfig",
    "supervise": "infra.config:SuperviseConfig",
    "metrics": "infra.config:MetricsConfig",
    "stream": "stream.app:StreamConfig",
    "publish": "stream.publish:PublishConfig",
    "ingest": "stream.ingest:IngestConfig",
    "tenants": "stream.tenants:TenantsConfig",
    "interest": "features.interest:InterestConfig",
    "outcomes": "features.outcomes:OutcomesConfig",
    "ab": "stream.variants:VariantsConfig",
    "store": "features.store_config:StoreConfig",
    "learner": "learner.config:LearnerConfig",
    "serving": "serving.config:ServingConfig",
}
"""Which struct stands behind each section, by name, so that it is imported late."""

PREFIX = "TIDEMILL_"

NOT_SETTINGS = frozenset({"TIDEMILL_DATA"})
"""Variables of that prefix which are for the tests."""

DEFAULT = "default"

S = TypeVar("S", bound=msgspec.Struct)


class Value(NamedTuple):
    """A value that isn't the default, and where it came from."""

    value: Any
    origin: str


class Row(NamedTuple):
    """A line of `tidemill settings`."""

    path: str
    value: str
    origin: str
    description: str
    allowed: str


class Settings:
    """All sections; `settings.section(KafkaConfig)` is one of them.

    Examples
    --------
    >>> from stream.connect import KafkaConfig
    >>> settings = Settings.load(environ={"TIDEMILL_KAFKA_PARTITIONS": "8"})
    >>> settings.section(KafkaConfig).partitions, settings.origin("kafka.partitions")
    (8, 'environment TIDEMILL_KAFKA_PARTITIONS')
    >>> Settings.load(environ={}, assignments=["kafka.partition=2"])
    Traceback (most recent call last):
    ...
    stream.errors.SettingsError: --set kafka.partition: there is no setting \
`kafka.partition`; did you mean `kafka.partitions`?
    """

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = dict(values)

    @classmethod
    def load(
        cls,
        config: Path | None = None,
        environ: Mapping[str, str] | None = None,
        assignments: Sequence[str] = (),
    ) -> Settings:
        """Gather the settings of a process.

        Parameters
        ----------
        config
            A TOML file; without one, `tidemill.toml` in the current folder is read if it exists.
        environ
            The environment, the process's own unless given.
        assignments
            What the command line sets: `section.key=value`.

        Raises
        ------
        SettingsError
            If a key is unknown, or a value is of the wrong type or out of range.
        """
        values: dict[str, Value] = {}
        for path, value, origin in [
            *_from_file(config),
            *_from_environment(os.environ if environ is None else environ),
            *_from_command_line(assignments),
        ]:
            values[path] = Value(convert(_field(path, origin), value, origin), origin)
        return cls(values)

    def section(self, struct: type[S]) -> S:
        """The section that a struct describes."""
        where = f"{struct.__module__}:{struct.__qualname__}"
        name = next((name for name, home in SECTIONS.items() if home == where), None)
        if name is None:
            # The table may name a module that only re-exports the struct.
            name = next(name for name in SECTIONS if _struct(name) is struct)
        return self._build(struct, name)

    def origin(self, path: str) -> str:
        """Where a value came from, `default` if nobody set it."""
        return self._values[path].origin if path in self._values else DEFAULT

    def with_values(self, values: Mapping[str, object], origin: str) -> Settings:
        """The same settings with some values replaced, whatever set them before."""
        new = {
            path: Value(convert(_field(path, origin), value, origin), origin)
            for path, value in values.items()
        }
        return Settings({**self._values, **new})

    def environment(self) -> dict[str, str]:
        """Environment variables that give a child process these same settings."""
        return {
            _variable(path): value if isinstance(value, str) else json.dumps(value)
            for path, (value, _) in self._values.items()
        }

    def rows(self, sections: Iterable[str] = tuple(SECTIONS)) -> list[Row]:
        """Every value and its origin, secrets hidden."""
        rows = []
        for name in sections:
            for field in fields_of(name, _struct(name)):
                value = self._values.get(field.path, Value(field.default, DEFAULT))
                text = shown(field.path, value.value)
                rows.append(Row(field.path, text, value.origin, field.description, allowed(field)))
        return rows

    def _build(self, struct: type[S], path: str) -> S:
        chosen: dict[str, Any] = {}
        for field in msgspec.structs.fields(struct):
            inner = f"{path}.{field.name}"
            if inner in self._values:
                chosen[field.name] = self._values[inner].value
            elif isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
                chosen[field.name] = self._build(field.type, inner)
        try:
            return struct(**chosen)
        except (ValueError, TypeError) as error:  # one setting contradicts another
            msg = f"the settings of `{path}`: {error}"
            raise SettingsError(msg) from error


def known_section(name: str) -> str:
    """The name itself, if it is a section's.

    Raises
    ------
    SettingsError
        If it isn't.
    """
    if name not in SECTIONS:
        raise SettingsError(_unknown(name, "sections", SECTIONS, name, "section"))
    return name


def _struct(section: str) -> type[msgspec.Struct]:
    module, name = SECTIONS[section].split(":")
    found: type[msgspec.Struct] = getattr(importlib.import_module(module), name)
    return found


def _field(path: str, origin: str) -> Field:
    section, _, _ = path.partition(".")
    if section not in SECTIONS:
        raise SettingsError(_unknown(path, origin, SECTIONS, section, "section"))
    fields = {field.path: field for field in fields_of(section, _struct(section))}
    if path not in fields:
        raise SettingsError(_unknown(path, origin, fields, path, "setting"))
    return fields[path]


def _unknown(path: str, origin: str, known: Iterable[str], word: str, what: str) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    hint = f"did you mean `{near[0]}`?" if near else "`tidemill settings` lists them all"
    return f"{origin}: there is no {what} `{word if what == 'section' else path}`; {hint}"


def _variable(path: str) -> str:
    return PREFIX + path.replace(".", "_").upper()


def _from_file(config: Path | None) -> list[tuple[str, Any, str]]:
    path = config or Path("tidemill.toml")
    if config is None and not path.is_file():
        return []
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"the settings file {path} can't be read: {error}"
        raise SettingsError(msg) from error
    found: list[tuple[str, Any, str]] = []

    def walk(prefix: str, table: Mapping[str, Any]) -> None:
        for key, value in table.items():
            name = f"{prefix}.{key}" if prefix else key
            if isinstance(value, dict):
                walk(name, value)
            else:
                found.append((name, value, str(path)))

    walk("", content)
    return found


def _from_environment(environ: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    found: list[tuple[str, Any, str]] = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        section = name.removeprefix(PREFIX).partition("_")[0].lower()
        origin = f"environment {name}"
        if section not in SECTIONS:
            raise SettingsError(_unknown(section, origin, SECTIONS, section, "section"))
        paths = {
            _variable(field.path): field.path for field in fields_of(section, _struct(section))
        }
        if name not in paths:
            near = difflib.get_close_matches(name, list(paths), n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else "`tidemill settings` lists them all"
            msg = f"{origin}: there is no such setting; {hint}"
            raise SettingsError(msg)
        found.append((paths[name], environ[name], origin))
    return found


def _from_command_line(assignments: Sequence[str]) -> list[tuple[str, Any, str]]:
    found: list[tuple[str, Any, str]] = []
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        if not equals:
            msg = f"--set {assignment}: wanted section.key=value, as in --set kafka.partitions=8"
            raise SettingsError(msg)
        found.append((path.strip(), value, f"--set {path.strip()}"))
    return found
