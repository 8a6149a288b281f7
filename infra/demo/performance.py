"""One performance on a running stack: play, settle, audit, with the screen kept up to date.

The play runs in a thread of its own; the thread that calls `perform` draws, and takes Ctrl-C. The
first one ends the play (what was sent is settled all the same), a second one the settling.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from infra.config import MetricsConfig
from infra.demo.audit import audit, start_here
from infra.demo.figures import Figures
from infra.demo.listen import Listener
from infra.demo.picture import save
from infra.demo.play import Play, PlayConfig
from infra.demo.scene import Role, Scene
from infra.demo.screen import Screen
from infra.demo.script import Script
from infra.demo.watch import Watch
from infra.lag import unread
from stream.clock import Clock
from stream.connect import KafkaConfig

REDRAW_S = 0.5
"""Between two looks at the stack: often enough to feel live, seldom enough to cost nothing."""

PICTURE_AT = 0.9
"""The share of the planned events after which the picture is taken: everything is moving."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a performance leaves behind."""

    figures: Figures
    settled: bool
    """Whether the newest version had learnt everything, and was in use, at the end."""


class Performance:
    """Joins the play, the listener and the screen.

    Parameters
    ----------
    script
        What is played.
    config
        Rate and patience.
    clock
        For rates and patience.
    planned
        How many raw events to play; without end where it is `None`.
    metrics
        How to read the roles' pages.
    """

    def __init__(
        self,
        script: Script,
        *,
        config: PlayConfig,
        clock: Clock,
        planned: int | None,
        metrics: MetricsConfig | None = None,
    ) -> None:
        self._script = script
        self._config = config
        self._clock = clock
        self.stop = threading.Event()
        """Set once the play shall end."""
        self._give_up = threading.Event()
        self._failure: BaseException | None = None
        self._settled = False
        self.scene = Scene(planned=planned)
        self._watch = Watch(self.scene, clock, metrics)

    def interrupt(self) -> None:
        """What Ctrl-C does: end the play, then the settling."""
        if self.stop.is_set():
            self._give_up.set()
        self.stop.set()

    def say(self, screen: Screen, text: str) -> None:
        """Show what the supervisor says."""
        self._watch.tick()
        self.scene.notice = text
        screen.show(self.scene)

    def perform(
        self,
        kafka: KafkaConfig,
        roles: Callable[[], Sequence[Role]],
        screen: Screen,
        picture: Path | None = None,
    ) -> Outcome:
        """Play to the end or until interrupted; then settle and audit.

        Parameters
        ----------
        kafka
            The broker and the topics' prefix.
        roles
            Returns the processes as they are now; what it raises ends the performance.
        screen
            Shows the scene.
        picture
            Where to save the screen while the last events are played.
        """
        start = start_here(kafka)
        listener = Listener(kafka, start)
        watch = self._watch
        self.scene.notice = ""
        events = self.scene.planned
        play = Play(
            kafka,
            self._script,
            listener=listener,
            unread=lambda: unread(kafka),
            config=self._config,
            clock=self._clock,
            stop=self.stop,
        )
        worker = threading.Thread(target=self._play, args=(play, events), name="demo-play")
        listener.start()
        worker.start()
        try:
            while worker.is_alive():
                self._look(roles(), watch, listener, play)
                screen.show(self.scene)
                if picture and events and play.sent >= PICTURE_AT * events:
                    save(self.scene, picture)
                    picture = None
                worker.join(REDRAW_S)
            if self._failure is not None:
                raise self._failure
            self.scene.phase = "reading the topics back"
            self._look(roles(), watch, listener, play)
            screen.show(self.scene)
        finally:
            self.stop.set()
            self._give_up.set()
            worker.join()
            listener.stop()
        figures = audit(kafka, start, unread(kafka), watch.prequential())
        return Outcome(figures=figures, settled=self._settled)

    def _look(self, roles: Sequence[Role], watch: Watch, listener: Listener, play: Play) -> None:
        watch.update(roles, listener)
        self.scene.sent = play.sent
        if self.scene.phase.startswith("encoding"):
            self.scene.phase = f"encoding items: {play.items_known:,} of {play.items_sent:,}"

    def _play(self, play: Play, events: int | None) -> None:
        try:
            self.scene.phase = "encoding items"
            play.send_items()
            self.scene.phase = f"playing {self._script.title}"
            play.play(events)
            self.scene.phase = "waiting until all is read, learnt and in use"
            self._settled = play.settle(self._give_up)
        except BaseException as error:  # noqa: BLE001 - raised again where `perform` is called
            self._failure = error
        finally:
            play.close()
