"""`bench`: how fast the parts are on this machine, beside what they are compared with."""

from __future__ import annotations

from pathlib import Path

import click

NAMES = (
    "ingest",
    "profile",
    "learn",
    "serve",
    "latency",
    "freshness",
    "cold-item",
    "scale",
    "startup",
    "memory",
    "tenants",
)


@click.command(
    epilog="""\b
Examples:
  tidemill bench ingest
  tidemill bench serve latency --json
  tidemill bench learn --size 0.1"""
)
@click.argument("names", nargs=-1, type=click.Choice(NAMES), metavar="NAME…")
@click.option(
    "--size",
    type=click.FloatRange(0, 100, min_open=True),
    default=1.0,
    show_default=True,
    help="Share of the full sizes: below 1 for a first look.",
)
@click.option(
    "--tools",
    type=click.Path(path_type=Path),
    default=Path(".venv/bench/bin/python"),
    help="Interpreter with what is only compared with (`make bench-tools`).",
)
@click.option("--keep", type=click.Path(path_type=Path), help="Work in this folder and keep it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per figure.")
def bench(  # noqa: PLR0913, PLR0917 - one per option
    names: tuple[str, ...],
    size: float,
    tools: Path,
    keep: Path | None,
    as_json: bool,
) -> None:
    """Measure how fast the parts are here, beside what they are compared with.

    Without a NAME all of them run, one after the other. Progress goes to the standard error.
    """
    import tempfile
    from importlib import import_module

    import msgspec

    from infra.bench.bar import Run

    for name in names or NAMES:
        module = import_module(f"infra.bench.{name.replace('-', '_')}")
        with tempfile.TemporaryDirectory(prefix="tidemill-bench-") as scratch:
            folder = (keep or Path(scratch)) / name
            folder.mkdir(parents=True, exist_ok=True)
            run = Run(
                say=lambda line, name=name: click.echo(f"{name}: {line}", err=True),  # type: ignore[misc]
                folder=folder,
                size=size,
                tools=tools if tools.exists() else None,
            )
            for bar in module.measure(run):
                click.echo(msgspec.json.encode(bar).decode() if as_json else str(bar))
