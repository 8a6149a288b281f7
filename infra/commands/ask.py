"""`ask`: ask the running shop a question, as a shopper would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from infra.commands.options import checked_tenant, settings_options, tenant_option

if TYPE_CHECKING:
    from infra.settings import Settings
    from stream.events import Recommendation


@click.command(
    epilog="""\b
Examples:
  tidemill ask "How heavy is it?" --item pot-1
  tidemill ask "Is it loud?" --item fan-1 --json
  tidemill ask "Find me a tea pot under 30" --conversation c-1 --user ada
  tidemill ask "cheaper, and red" --conversation c-1 --user ada"""
)
@click.argument("question")
@settings_options("bootstrap_servers", "prefix")
@tenant_option
@click.option("--item", "item_id", help="The item that `it` means.")
@click.option("--user", "user_id", default="tidemill-ask", help="Who asks.")
@click.option("--conversation", "conversation_id", help="Go on with this conversation.")
@click.option("-k", type=click.IntRange(1, 200), default=5, show_default=True, help="Items.")
@click.option("--timeout", default=20.0, show_default=True, help="Seconds to wait.")
@click.option("--json", "as_json", is_flag=True, help="The whole answer as JSON.")
def ask(  # noqa: PLR0913, PLR0917 - one per option
    question: str,
    settings: Settings,
    tenant: str,
    item_id: str | None,
    user_id: str,
    conversation_id: str | None,
    k: int,
    timeout: float,
    as_json: bool,
) -> None:
    """Ask QUESTION, and show the answer with where it stands."""
    import msgspec

    from infra.logs import escaped
    from infra.search import request_of
    from infra.search import search as send
    from stream.connect import KafkaConfig

    request = request_of(
        user_id,
        checked_tenant(settings, tenant),
        question=question,
        context_item=item_id,
        conversation_id=conversation_id,
        k=k,
    )
    made = send(settings.section(KafkaConfig), request, timeout)
    if as_json:
        click.echo(msgspec.json.encode(made).decode())
    else:
        click.echo("\n".join(escaped(line) for line in lines(made)))


def lines(made: Recommendation) -> list[str]:
    """An answer as it is printed: what it says, what it rests on, and its list.

    >>> from stream.asked import Answer, Citation
    >>> from stream.events import Recommendation
    >>> cited = Citation(source="item", id="pot", field="attributes.weight", start=0, end=4,
    ...                  quote="1 kg")
    >>> answer = Answer(text="weight: 1 kg.", route="attribute", citations=(cited,))
    >>> lines(Recommendation(recommendation_id="r", request_id="q", user_id="u", ts_ms=0, items=(),
    ...                      path="answer", model_version=None, answer=answer))
    ['weight: 1 kg.', '  item pot, attributes.weight 0-4: 1 kg']
    """
    import msgspec

    if isinstance(made.answer, msgspec.UnsetType):
        return ["questions are not answered here: serving.answers.on is false"]
    found = made.answer.text.split("\n")
    found += [
        f"  {one.source} {one.id}, {one.field} {one.start}-{one.end}: {one.quote}"
        for one in made.answer.citations
    ]
    found += [f"  {item.item_id}  {item.title}  ({item.reason})" for item in made.items]
    return found
