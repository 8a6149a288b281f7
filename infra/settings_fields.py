"""The leaves of a config struct: their types, ranges and words, and how a text becomes a value."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from stream.errors import SettingsError, shorten

HIDDEN = "•••"

_SECRET_NAME = re.compile(
    r"(?:password|secret|token|credential)(?!\w*(?:_env|_file)$)", re.IGNORECASE
)
"""A setting that holds a secret; one that ends in `_env` or `_file` says where it is."""

_SECRET_PART = re.compile(
    r"(?P<name>(?:password|secret|token)\s*=\s*)[^,;\s]+|(?<=://)[^/@\s]+(?=@)", re.IGNORECASE
)
"""A secret within a longer value: `password=…` in a list of options, `user:password@` in an URL."""


class Field(NamedTuple):
    """One setting: `path` is `section.key`, or `section.group.key` in a nested struct."""

    path: str
    type: Any
    default: Any
    description: str


def fields_of(path: str, struct: type[msgspec.Struct]) -> list[Field]:
    """All leaves of a struct, nested ones with their whole path."""
    found = []
    for field in msgspec.structs.fields(struct):
        inner = f"{path}.{field.name}"
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found += fields_of(inner, field.type)
        else:
            default = (
                field.default_factory()
                if field.default_factory is not msgspec.NODEFAULT
                else field.default
            )
            found.append(Field(inner, field.type, default, _description(field.type)))
    return found


def convert(field: Field, value: object, origin: str) -> Any:
    """Turn a value from a file, the environment or the command line into the field's type.

    >>> field = Field("kafka.partitions", int, 4, "")
    >>> convert(field, "8", "--set kafka.partitions=8")
    8
    """
    tries = [value]
    if isinstance(value, str):
        # A list is written as JSON, or shorter with commas.
        tries += [_json(value), [part.strip() for part in value.split(",")]]
    for attempt in tries:
        try:
            return msgspec.convert(attempt, field.type, strict=not isinstance(value, str))
        except msgspec.ValidationError:
            continue
    # Somebody may have put the secret itself where its variable's name belongs.
    secret = _SECRET_NAME.search(field.path) or field.path.endswith("_env")
    got = HIDDEN if secret else shown(field.path, shorten(value))
    msg = f"{origin}: `{field.path}` must be {allowed(field)}, got {got} ({field.description})"
    raise SettingsError(msg)


def allowed(field: Field) -> str:
    """What may stand there, in words.

    >>> from typing import Annotated
    >>> from msgspec import Meta
    >>> allowed(Field("a.b", Annotated[int, Meta(ge=1, le=7)], 1, ""))
    'an integer from 1 to 7'
    >>> allowed(Field("a.b", Annotated[float, Meta(gt=0)], 1.0, ""))
    'a number above 0'
    """
    return _words(inspect.type_info(field.type))


def shown(path: str, value: object) -> str:
    """A value for people, without the secrets in it.

    >>> shown("store.redis", "localhost:6379,password=hunter2")
    'localhost:6379,password=•••'
    >>> shown("kafka.sasl_password", "hunter2"), shown("kafka.sasl_password_env", "PASSWORD")
    ('•••', 'PASSWORD')
    """
    if _SECRET_NAME.search(path) and value:
        return HIDDEN
    text = value if isinstance(value, str) else str(value)
    return _SECRET_PART.sub(lambda found: f"{found['name'] or ''}{HIDDEN}", text)


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _description(kind: Any) -> str:
    info = inspect.type_info(kind)
    if isinstance(info, inspect.Metadata):
        return str((info.extra_json_schema or {}).get("description", ""))
    return ""


def _words(info: inspect.Type) -> str:
    match info:
        case inspect.Metadata():
            words = _words(info.type)
        case inspect.BoolType():
            words = "true or false"
        case inspect.IntType():
            words = "an integer" + _range(info)
        case inspect.FloatType():
            words = "a number" + _range(info)
        case inspect.LiteralType():
            words = "one of " + ", ".join(map(str, info.values))
        case inspect.StrType():
            limits = [f"matching {info.pattern}"] if info.pattern else []
            limits += [f"of {info.min_length} or more characters"] if info.min_length else []
            limits += [f"of at most {info.max_length} characters"] if info.max_length else []
            words = " ".join(["text", *limits])
        case inspect.VarTupleType() | inspect.ListType():
            words = f"a list, each {_words(info.item_type)}"
        case inspect.UnionType():
            words = " or ".join(_words(one) for one in info.types)
        case _:
            words = type(info).__name__.removesuffix("Type").lower()
    return words


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    if info.ge is not None and info.le is not None:
        return f" from {info.ge:g} to {info.le:g}"
    words = [
        f"{word} {bound:g}"
        for word, bound in (
            ("at least", info.ge),
            ("above", info.gt),
            ("at most", info.le),
            ("below", info.lt),
        )
        if bound is not None
    ]
    return f" {' and '.join(words)}" if words else ""
