"""The screen of the demo: one `Scene` → one picture of exactly the terminal's size.

```
┌ title: phase, progress, events/s, time ────────────────────────────┐
├ stream: lag by topic ──────────┬ learner: version, NDCG@10, shifts ┤
├ newest recommendations: for whom, what, why ───────────────────────┤
├ processes: health, restarts, where their metrics are ──────────────┤
```

It is laid out for 80 × 24; whatever is taller goes to the recommendations, whatever is wider to
titles and reasons.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from infra.demo.scene import Health, Scene
from stream.events import Recommendation

BARS = "▁▂▃▄▅▆▇█"
MIDDLE_ROWS = 9
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
COLOURS: dict[Health, str] = {"ready": "green", "starting": "yellow", "down": "red"}


def sparkline(values: Sequence[float], width: int, top: float) -> str:
    """The values as bars from 0 to `top`, at most `width` wide, each the mean of its share.

    >>> sparkline([0, 1, 2, 3], width=4, top=3.5)
    '▁▃▅▇'
    >>> sparkline([1, 1, 3, 3], width=2, top=4)
    '▃▇'
    >>> sparkline([], width=4, top=1)
    ''
    """
    width = min(width, len(values))
    bars = []
    for column in range(width):
        share = values[column * len(values) // width : (column + 1) * len(values) // width]
        level = sum(share) / len(share) / top if top > 0 else 0.0
        bars.append(BARS[min(int(level * len(BARS)), len(BARS) - 1)])
    return "".join(bars)


def one_line(text: str) -> Text:
    r"""A shop's own words as they are, whatever brackets they hold, in one line.

    >>> one_line("[new] tea\n\x1b[1mtin").plain
    '[new] tea [1mtin'
    """
    return Text(_CONTROLS.sub(" ", text))


def render(scene: Scene, width: int, height: int) -> RenderableType:
    """Draw the scene."""
    processes = max(1, len(scene.roles)) + 2
    screen = Layout()
    screen.split_column(
        Layout(_header(scene, width), name="header", size=2),
        Layout(name="middle", size=MIDDLE_ROWS),
        Layout(
            _recommendations(scene, width, height - 2 - MIDDLE_ROWS - processes - 2),
            name="recommendations",
        ),
        Layout(_processes(scene), name="processes", size=processes),
    )
    screen["middle"].split_row(
        Layout(_stream(scene), name="stream", size=max(34, width * 2 // 5)),
        Layout(_learner(scene, width - max(34, width * 2 // 5) - 4), name="learner"),
    )
    return screen


def plain_line(scene: Scene) -> str:
    """The same in one line, for output that isn't a terminal.

    >>> from infra.demo.scene import Role
    >>> scene = Scene(phase="playing", sent=10, planned=20, elapsed_s=3.0, roles=[Role("learner")])
    >>> plain_line(scene)
    '   3 s  playing  10/20 events  0/s  unread 0  version -  ndcg10 - popularity -  shifts 0'
    """
    if not scene.roles:
        return f"{scene.elapsed_s:4.0f} s  {scene.phase}: {scene.notice}"
    planned = f"/{scene.planned}" if scene.planned else ""
    notice = f"  ({scene.notice})" if scene.notice else ""
    return (
        f"{scene.elapsed_s:4.0f} s  {scene.phase}  {scene.sent}{planned} events  "
        f"{scene.events_per_s:.0f}/s  unread {sum(scene.lag.values())}  "
        f"version {'-' if scene.version is None else scene.version}  "
        f"ndcg10 {_figure(scene.online.newest)} popularity {_figure(scene.popularity.newest)}  "
        f"shifts {scene.shift_count}{notice}"
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _header(scene: Scene, width: int) -> RenderableType:
    minutes, seconds = divmod(int(scene.elapsed_s), 60)
    left = Text.assemble((" tidemill ", "bold reverse"), " ", (scene.phase, "bold"))
    planned = f" of {scene.planned:,}" if scene.planned else ""
    right = Text(
        f"{scene.sent:,}{planned} events   {scene.events_per_s:,.0f}/s   {minutes}:{seconds:02} "
    )
    line = Table.grid(expand=True)
    line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    line.add_column(justify="right", no_wrap=True)
    line.add_row(left, right)
    bar = ProgressBar(
        total=scene.planned or 1,
        completed=scene.sent if scene.planned else 0,
        width=width,
        finished_style="green",
    )
    return Group(line, bar)


def _stream(scene: Scene) -> RenderableType:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(justify="right", no_wrap=True, min_width=7)
    table.add_column(justify="right", no_wrap=True, min_width=7)
    for topic, lag in list(scene.lag.items())[: MIDDLE_ROWS - 2]:
        rate = scene.rates.get(topic)
        table.add_row(
            topic,
            Text(f"{lag:,}", style="yellow" if lag else "green"),
            Text("" if rate is None else f"{rate:,.0f}/s", style="dim"),
        )
    return Panel(table, title="topic · unread · rate", title_align="left", border_style="cyan")


def _learner(scene: Scene, width: int) -> RenderableType:
    top = max([*scene.online.points, *scene.popularity.points, 1e-9])
    name_width, figure_width = 11, 7
    room = max(0, width - name_width - figure_width - 2)
    lines = Table.grid(padding=(0, 1))
    lines.add_column(no_wrap=True, width=name_width)
    lines.add_column(no_wrap=True, justify="right", width=figure_width)
    lines.add_column(no_wrap=True, width=room)
    for name, curve, colour in (
        ("learner", scene.online, "green"),
        ("popularity", scene.popularity, "blue"),
    ):
        lines.add_row(
            name,
            Text(_figure(curve.newest), style=f"bold {colour}"),
            Text(sparkline(curve.points, room, top), style=colour),
        )
    version = "none yet" if scene.version is None else str(scene.version)
    about = Text.assemble(
        "version ",
        (version, "bold"),
        f" · {scene.learnt:,} learnt · {scene.updates:,} updates",
        no_wrap=True,
        overflow="ellipsis",
    )
    moved: list[RenderableType] = [
        Text.assemble(
            (f"{shift.user_id} ", "bold"),
            one_line(shift.from_category.rpartition(" > ")[2] or "?"),
            (" → ", "magenta"),
            one_line(shift.to_category.rpartition(" > ")[2] or "?"),
            no_wrap=True,
            overflow="ellipsis",
        )
        for shift in list(scene.shifts)[-(MIDDLE_ROWS - 6) :][::-1]
    ]
    shifts = Text(f"interest shifts: {scene.shift_count}", style="magenta")
    return Panel(
        Group(about, lines, shifts, *moved),
        title="learner · NDCG@10 before learning",
        title_align="left",
        border_style="green",
    )


def _recommendations(scene: Scene, width: int, rows: int) -> RenderableType:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(no_wrap=True, overflow="ellipsis", width=max(12, width // 8))
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=3, style="dim")
    left = max(1, rows)
    for answer in reversed(scene.recommendations):
        shown = min(left, 1 if rows < len(scene.recommendations) * 2 else 2, len(answer.items))
        for index in range(shown):
            item = answer.items[index]
            table.add_row(
                Text(_who(answer) if index == 0 else "", style="bold"),
                one_line(item.title or item.item_id),
                one_line(item.reason),
            )
        left -= shown
        if left <= 0:
            break
    title = f"recommendations · {scene.answers:,} · newest first: for whom, what, why"
    return Panel(table, title=title, title_align="left", border_style="magenta")


def _who(answer: Recommendation) -> str:
    return answer.user_id if answer.trigger == "request" else f"{answer.user_id} ⟳"


def _processes(scene: Scene) -> RenderableType:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(no_wrap=True, overflow="ellipsis", min_width=16)
    table.add_column(no_wrap=True, min_width=10)
    table.add_column(no_wrap=True, min_width=11)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1, justify="right")
    for role in scene.roles:
        restarts = Text(
            f"{role.restarts} restart{'' if role.restarts == 1 else 's'}",
            style="red" if role.restarts else "dim",
        )
        health = Text(f"● {role.health}", style=COLOURS[role.health])
        table.add_row(role.name, health, restarts, Text(role.metrics_url, style="dim"))
    title = Text("processes · metrics")
    if scene.notice:
        title.append(f" · {scene.notice}", style="yellow")
    return Panel(table, title=title, title_align="left", border_style="cyan")
