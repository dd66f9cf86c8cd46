"""`/v1/sessions`: conversations of two or more people."""

from __future__ import annotations

from typing import Any

from gateway.keys import Role
from gateway.store import LOOK
from gateway.web.context import Context
from gateway.web.v1 import session_handlers as handlers
from gateway.web.v1.manners import reading, writing
from gateway.web.v1.operations import Operation
from gateway.web.v1.paging import Page
from gateway.web.v1.problems import (
    BAD_CURSOR,
    CANNOT_REOPEN,
    CHANGED,
    EXTERNAL_ID_TAKEN,
    NO_NUMBER_FREE,
    PAIR_TAKEN,
    PIN_TAKEN,
    SESSION_LIVE,
    SESSION_OVER,
    SESSION_UNKNOWN,
    WISH_REFUSED,
)
from gateway.web.v1.session_models import (
    ChangeSession,
    EndSession,
    ListSessions,
    OpenSession,
    ReopenSession,
    SendMessage,
    SentMessages,
    Session,
    SessionPath,
)


def operations(context: Context) -> tuple[Operation[Any, Any, Any], ...]:
    """Return what can be done with sessions."""
    return (
        Operation(
            method="GET",
            path="/v1/sessions",
            id="list_sessions",
            summary="List sessions",
            description="The latest first, those opened by the inherited APIs included. A page looks at "
            f"{LOOK:,} sessions at most, whatever the filters leave of them: it may hold fewer than `limit`, or none, "
            "while `next` is not null.",
            role=Role.READER,
            query=ListSessions,
            answers={200: Page[Session]},
            problems=(BAD_CURSOR,),
            handler=reading(handlers.list_sessions),
        ),
        Operation(
            method="POST",
            path="/v1/sessions",
            id="open_session",
            summary="Open a session",
            description="From then on whatever one of them texts to their mask goes to all others, to each from their "
            "own; with more than two, after the sender's name. All wishes are met, or nothing is opened.",
            role=Role.OPERATOR,
            body=OpenSession,
            answers={201: Session},
            problems=(NO_NUMBER_FREE, PAIR_TAKEN, PIN_TAKEN, EXTERNAL_ID_TAKEN, WISH_REFUSED),
            handler=writing(handlers.open_session),
            versioned=True,
        ),
        Operation(
            method="GET",
            path="/v1/sessions/{id}",
            id="get_session",
            summary="Get a session",
            role=Role.READER,
            params=SessionPath,
            answers={200: Session},
            problems=(SESSION_UNKNOWN,),
            handler=reading(handlers.get_session),
            versioned=True,
        ),
        Operation(
            method="PATCH",
            path="/v1/sessions/{id}",
            id="change_session",
            summary="Extend a session, change its metadata, or from which number somebody takes part",
            description="All of it or nothing. Takes a live session. A number that still means a conversation with "
            "other people on the one mask of an exclusive session cannot take part in it: whom its late texts were for "
            "could not be told.",
            role=Role.OPERATOR,
            params=SessionPath,
            body=ChangeSession,
            answers={200: Session},
            problems=(SESSION_UNKNOWN, SESSION_OVER, NO_NUMBER_FREE, PAIR_TAKEN, PIN_TAKEN, WISH_REFUSED, CHANGED),
            handler=writing(handlers.change_session),
            versioned=True,
        ),
        Operation(
            method="POST",
            path="/v1/sessions/{id}/end",
            id="end_session",
            summary="End a session",
            description="Late texts reach nobody: each pair of mask and participant is in quarantine for "
            "`GATEWAY_QUARANTINE`.",
            role=Role.OPERATOR,
            params=SessionPath,
            body=EndSession,
            answers={200: Session},
            problems=(SESSION_UNKNOWN, SESSION_OVER, CHANGED),
            handler=writing(handlers.end_session),
            versioned=True,
        ),
        Operation(
            method="POST",
            path="/v1/sessions/{id}/reopen",
            id="reopen_session",
            summary="Let an ended session go on",
            description="With the same people on the same masks. Nobody is told.",
            role=Role.OPERATOR,
            params=SessionPath,
            body=ReopenSession,
            answers={200: Session},
            problems=(SESSION_UNKNOWN, SESSION_LIVE, PAIR_TAKEN, PIN_TAKEN, EXTERNAL_ID_TAKEN, CANNOT_REOPEN, CHANGED),
            handler=writing(handlers.reopen_session),
            versioned=True,
        ),
        Operation(
            method="POST",
            path="/v1/sessions/{id}/messages",
            id="send_message",
            summary="Send a text into a session",
            description="From the application to one participant or all, to each from their own mask. It counts as "
            "use of the session. To whoever wants no texts it is not sent.",
            role=Role.OPERATOR,
            params=SessionPath,
            body=SendMessage,
            answers={201: SentMessages},
            problems=(SESSION_UNKNOWN, SESSION_OVER, WISH_REFUSED),
            handler=writing(handlers.send_message),
        ),
    )
