from __future__ import annotations

import io
from collections import deque
from pathlib import Path

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from infra.demo.picture import save
from infra.demo.scene import Role, Scene
from infra.demo.screen import LiveScreen, PlainScreen, open_screen
from infra.demo.view import plain_line, render
from stream.events import InterestShift, Recommendation, RecommendedItem


def busy_scene() -> Scene:
    scene = Scene(phase="playing the shop", elapsed_s=71, sent=1_234, planned=3_000)
    scene.events_per_s = 298.4
    scene.lag = {topic: 3 for topic in ("clicks", "purchases", "reviews", "items", "requests")}
    scene.lag |= {"events": 1_204, "examples": 0}
    scene.version, scene.learnt, scene.updates, scene.answers = 7, 1_100, 84, 412
    for second in range(60):
        scene.online.add(0.1 + second / 600)
        scene.popularity.add(0.1)
    scene.shift_count = 5
    for number in range(5):
        scene.shifts.append(
            InterestShift(
                user_id=f"u{number}",
                event_id=f"e{number}",
                ts_ms=1,
                from_category="Kitchen > Tea",
                to_category="Garden > Tools",
                divergence=0.5,
                usual_divergence=0.1,
                user_events=40,
                received_ms=1,
            )
        )
    for number in range(8):
        item = RecommendedItem(
            item_id=f"i{number}",
            score=1.0,
            title=f"Dunmore Peppermint Herbal Tea Tin {number}",
            reason="because you viewed Norwick Stoneware Teapot",
        )
        scene.recommendations.append(
            Recommendation(
                recommendation_id=f"r{number}",
                request_id=f"q{number}",
                user_id=f"shopper-{number}",
                ts_ms=1,
                items=(item, item, item),
                path="model",
                model_version=7,
            )
        )
    for name, port in (("ingest-profile", 9464), ("learner", 9465), ("serving", 9466)):
        scene.roles.append(Role(name, "ready", 0, f"http://127.0.0.1:{port}/metrics"))
    return scene


def drawn(scene: Scene, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    lines = console.render_lines(
        render(scene, width, height), console.options.update(height=height)
    )
    return ["".join(segment.text for segment in line) for line in lines]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
def test_the_screen_fills_the_terminal_exactly(width: int, height: int) -> None:
    lines = drawn(busy_scene(), width, height)

    assert len(lines) == height
    assert {len(line) for line in lines} == {width}


def test_at_80_by_24_all_that_matters_is_on_the_screen() -> None:
    screen = "\n".join(drawn(busy_scene(), 80, 24))

    for seen in (
        "1,234 of 3,000 events",
        "298/s",
        "1:11",
        "events",
        "1,204",
        "version 7",
        "0.1983",  # the learner's newest NDCG@10
        "0.1000",
        "interest shifts: 5",
        "u4 Tea → Tools",  # the newest shift
        "shopper-7",  # the newest recommendation
        "Dunmore Peppermint",
        "because you viewed",
        "serving",
        "http://127.0.0.1:9466/metrics",
    ):
        assert seen in screen, f"{seen!r} is missing on:\n{screen}"


def test_a_higher_learner_draws_a_higher_curve() -> None:
    lines = drawn(busy_scene(), 120, 40)
    learner = next(line for line in lines if "0.1983" in line)
    popularity = next(line for line in lines if "popularity" in line)

    assert "█" in learner
    assert "█" not in popularity


def test_a_crashed_role_shows_its_restarts() -> None:
    scene = busy_scene()
    scene.roles[1].restarts = 1
    scene.roles[1].health = "down"

    screen = "\n".join(drawn(scene, 80, 24))

    assert "down" in screen
    assert "1 restart " in screen


def test_a_crash_is_said_on_the_screen_and_in_the_lines() -> None:
    scene = busy_scene()
    scene.notice = "learner ended (killed by SIGKILL)"

    assert scene.notice in "\n".join(drawn(scene, 80, 24))
    assert scene.notice in plain_line(scene)


def test_an_empty_scene_can_be_drawn() -> None:
    assert len(drawn(Scene(), 80, 24)) == 24


def test_without_a_terminal_there_is_one_line_with_the_figures() -> None:
    line = plain_line(busy_scene())

    assert "\n" not in line
    for seen in ("1234/3000 events", "298/s", "version 7", "ndcg10 0.1983", "shifts 5"):
        assert seen in line


def test_the_picture_for_the_readme_shows_the_screen(tmp_path: Path) -> None:
    save(busy_scene(), tmp_path / "docs" / "demo.svg")

    svg = (tmp_path / "docs" / "demo.svg").read_text()
    assert svg.startswith("<svg")
    assert "0.1983" in svg


def test_without_a_terminal_a_line_appears_only_now_and_then() -> None:
    out = io.StringIO()
    screen = open_screen(Console(file=out, width=200))
    scene = busy_scene()

    with screen:
        for second in range(8):
            scene.elapsed_s = float(second)
            screen.show(scene)
        scene.phase = "settling"
        screen.show(scene)

    assert [line.split()[0] for line in out.getvalue().splitlines()] == ["0", "5", "7"]


def test_a_terminal_that_is_too_small_gets_lines() -> None:
    small = Console(file=io.StringIO(), force_terminal=True, width=60, height=20)
    large = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)

    assert isinstance(open_screen(small), PlainScreen)
    assert isinstance(open_screen(large), LiveScreen)


def test_the_live_screen_gives_the_terminal_back() -> None:
    out = io.StringIO()
    enter, leave = "\x1b[?1049h", "\x1b[?1049l"
    with open_screen(Console(file=out, force_terminal=True, width=80, height=24)) as screen:
        screen.show(busy_scene())

    assert "shopper-7" in out.getvalue()
    assert out.getvalue().index(enter) < out.getvalue().rindex(leave)


TITLES = {
    "Chinese": "湖湾里埃塞俄比亚耶加雪菲咖啡豆公平贸易第2款，清晨的第一个小时",
    "Arabic": "سماعات رأس لاسلكية مانعة للضوضاء للسفر والموسيقى في كل مكان",
    "Hindi": "हिन्दी पुस्तक " * 8,
    "joined emoji": "👨\u200d👩\u200d👧\u200d👦" * 40,
    "combining marks": "e\u0301\u0323" * 60,
    "brackets": "[new] Tea [/b] tin [bold]" * 4,
    "controls": "two\nlines\tand \x1b[31mred",
}


@pytest.mark.parametrize("script", TITLES)
@pytest.mark.parametrize(("width", "height"), [(80, 24), (97, 31)])
def test_a_title_in_any_script_leaves_the_screen_in_shape(
    script: str, width: int, height: int
) -> None:
    scene, title = busy_scene(), TITLES[script]
    scene.shifts = deque(
        msgspec.structs.replace(shift, to_category=f"{title} > {title}") for shift in scene.shifts
    )
    scene.recommendations = deque(
        msgspec.structs.replace(
            answer,
            items=tuple(
                msgspec.structs.replace(item, title=title, reason=f"because you viewed {title}")
                for item in answer.items
            ),
        )
        for answer in scene.recommendations
    )

    lines = drawn(scene, width, height)

    assert len(lines) == height
    assert {cell_len(line) for line in lines} == {width}
    begin = title.partition("\n")[0][:4]
    assert sum(begin in line for line in lines) >= 8
    assert "\x1b" not in "".join(lines)


def test_a_wide_title_ends_where_its_column_ends_and_says_so() -> None:
    scene = busy_scene()
    item = RecommendedItem(item_id="i", score=1.0, title=TITLES["Chinese"], reason="popular now")
    scene.recommendations = deque(
        msgspec.structs.replace(answer, items=(item,)) for answer in scene.recommendations
    )

    line = next(line for line in drawn(scene, 80, 24) if "popular now" in line)

    assert "湖湾里埃塞俄比亚" in line
    assert "…" in line
    assert cell_len(line[: line.index("popular")]) == len(
        next(line for line in drawn(busy_scene(), 80, 24) if "because" in line).partition(
            "because"
        )[0]
    )
