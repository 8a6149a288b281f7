"""One list to make: what a request asks for, or what is pushed after an event."""

from __future__ import annotations

import msgspec

from stream.events import Filters, ItemKind, Request, Sort
from stream.tenants import inside, tenant_of

_KIND_ON: dict[str, ItemKind] = {"content": "content", "ads": "ad"}
"""The surfaces that show anything but products."""

HOME, SEARCH = "home", "search"
"""Surfaces where requests name none: of lists, and of searches."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One list to make: asked for by a request, or pushed after an event.

    Its ids carry their tenant. One that is not `personal` is made as for a user of whom nothing is
    known; what is hidden from its user is hidden all the same. One that is not `counted` is of who
    has opted out: nothing that is shown is remembered of them.
    """

    recommendation_id: str
    user_id: str
    k: int
    request_id: str | None = None
    context_item: str | None = None
    filters: Filters = Filters()
    surface: str = HOME
    personal: bool = True
    counted: bool = True
    query: str | None = None
    sort: Sort = "relevance"
    offset: int = 0
    facets: bool = False
    suggest: bool = False
    explain: bool = False
    question: str | None = None
    conversation_id: str | None = None

    @classmethod
    def of_request(cls, request: Request, recommendation_id: str) -> Ask:
        """What a request asks for."""
        return cls(
            recommendation_id=recommendation_id,
            user_id=inside(request.tenant, request.user_id),
            k=request.k,
            request_id=request.request_id,
            context_item=request.context_item and inside(request.tenant, request.context_item),
            filters=request.filters,
            surface=SEARCH if request.query and request.surface == HOME else request.surface,
            query=request.query,
            sort=request.sort,
            offset=request.offset,
            facets=request.facets,
            suggest=request.suggest,
            explain=request.explain,
            question=request.question,
            conversation_id=request.conversation_id,
        )

    @property
    def kind(self) -> ItemKind:
        """What is to be shown: surfaces of that name show content or ads, all others products."""
        return _KIND_ON.get(self.surface, "product")

    @property
    def tenant(self) -> str:
        """The shop that asks."""
        return tenant_of(self.user_id)
