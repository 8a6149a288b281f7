"""The command `tidemill`.

Exit codes: 0 done, 1 an error that is named, 2 wrong usage or settings, 3 a role on which too many
records fail, 130 Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from infra.commands.ab import ab
from infra.commands.ask import ask
from infra.commands.bench import bench
from infra.commands.data import replay, topics
from infra.commands.dead_letters import dead_letters
from infra.commands.describe import describe
from infra.commands.distill import distill
from infra.commands.evaluate import evaluate
from infra.commands.export import export
from infra.commands.look import doctor, settings
from infra.commands.pretrain import pretrain
from infra.commands.reviews import reviews
from infra.commands.search import search
from infra.commands.stack import demo, up, worker
from infra.commands.users import forget, user
from stream.errors import (
    TOO_MANY_REFUSED_EXIT,
    SettingsError,
    TidemillError,
    TooManyRefused,
)

EXIT_ERROR, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: tidemill demo",
)
@click.version_option(package_name="tidemill")
def cli() -> None:
    """Recommendations that learn from every event of a shop, live, over Kafka."""


for command in (
    up,
    demo,
    worker,
    replay,
    dead_letters,
    user,
    forget,
    export,
    describe,
    reviews,
    search,
    ask,
    evaluate,
    pretrain,
    distill,
    ab,
    bench,
    topics,
    settings,
    doctor,
):
    cli.add_command(command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code; errors that are ours are one line, no traceback."""
    try:
        cli.main(arguments, prog_name="tidemill", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except SettingsError as error:
        click.echo(f"tidemill: {error}", err=True)
        return EXIT_USAGE
    except TidemillError as error:
        click.echo(f"tidemill: {error}", err=True)
        return TOO_MANY_REFUSED_EXIT if isinstance(error, TooManyRefused) else EXIT_ERROR
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_ERROR
    return 0


def main() -> None:
    """The entry point of the console script."""
    sys.exit(run())


if __name__ == "__main__":
    main()
