"""The part of JSON Schema (draft 2020-12) that our schemas use; any other word is an error."""

from __future__ import annotations

from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
WORDS = {
    "title", "description", "default", "$schema", "$defs", "$ref", "anyOf", "type", "enum",
    "properties", "required", "additionalProperties", "items", "prefixItems", "minItems",
    "maxItems", "minLength", "maxLength", "minimum", "maximum", "contentEncoding",
}  # fmt: skip


def check_words(schema: Any) -> None:
    """Fail on a word that `faults` doesn't understand."""
    if isinstance(schema, bool):
        return
    assert set(schema) <= WORDS, set(schema) - WORDS
    for name in ("properties", "$defs"):
        for part in schema.get(name, {}).values():
            check_words(part)
    for part in [*schema.get("anyOf", []), *schema.get("prefixItems", [])]:
        check_words(part)
    for name in ("items", "additionalProperties"):
        if name in schema:
            check_words(schema[name])


def faults(value: Any, schema: Any, root: dict[str, Any], at: str = "$") -> list[str]:
    """What is wrong with a value, by place; empty where it fits."""
    if isinstance(schema, bool):
        return [] if schema else [f"{at}: not allowed"]
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return faults(value, root["$defs"][name], root, at)
    if "anyOf" in schema:
        fits = any(not faults(value, part, root, at) for part in schema["anyOf"])
        return [] if fits else [f"{at}: fits none of {len(schema['anyOf'])}"]
    kind = schema.get("type")
    if kind is not None:
        right = isinstance(value, TYPES[kind])
        if not right or (isinstance(value, bool) and kind != "boolean"):
            return [f"{at}: {value!r} is no {kind}"]
    found = [f"{at}: {value!r} is not allowed"] if value not in schema.get("enum", [value]) else []
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        found += [] if low <= value <= high else [f"{at}: {value} is out of range"]
    if isinstance(value, str):
        shortest, longest = schema.get("minLength", 0), schema.get("maxLength", len(value))
        found += [] if shortest <= len(value) <= longest else [f"{at}: {len(value)} characters"]
    if isinstance(value, dict):
        rest = schema.get("additionalProperties", True)
        found += [f"{at}: no {name}" for name in schema.get("required", []) if name not in value]
        for name, part in value.items():
            inner = schema.get("properties", {}).get(name, rest)
            found += faults(part, inner, root, f"{at}.{name}")
    if isinstance(value, list):
        heads = schema.get("prefixItems", [])
        for place, part in enumerate(value):
            inner = heads[place] if place < len(heads) else schema.get("items", True)
            found += faults(part, inner, root, f"{at}[{place}]")
    return found
