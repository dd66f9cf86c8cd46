"""`/v1/pool`: our numbers, and how much of them is in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway import pool
from gateway.carrier import Carrier
from gateway.keys import Role
from gateway.pool import NewNumber
from gateway.records import NumberFilter, PoolFigures
from gateway.records import PoolNumber as Record
from gateway.store import LOOK, Tx
from gateway.web.context import Context
from gateway.web.v1 import paging
from gateway.web.v1.channels import channels_of
from gateway.web.v1.manners import check_version, etag, reading, writing
from gateway.web.v1.operations import Answer, Call, Nothing, Operation
from gateway.web.v1.paging import Page
from gateway.web.v1.pool_models import (
    MOST,
    AddNumber,
    ChangeNumber,
    ChannelFigures,
    Existing,
    Figures,
    Imported,
    ImportNumbers,
    LeaseCounts,
    ListNumbers,
    NumberCounts,
    NumberPath,
    PoolNumber,
    ReadFigures,
)
from gateway.web.v1.problems import BAD_CURSOR, CHANGED, NUMBER_EXISTS, NUMBER_IN_USE, NUMBER_UNKNOWN, Refusal, Wrong

# --- handlers ---------------------------------------------------------------------------------------


def list_numbers(tx: Tx, call: Call[Nothing, ListNumbers, Nothing]) -> Answer:
    asked = call.query
    wanted = NumberFilter(
        carrier=asked.carrier, region=asked.region, state=asked.state, label=asked.label, in_use=asked.in_use
    )
    (after,) = paging.after(call, str) or ("",)
    rows, last = tx.numbers_page(wanted, str(after), asked.limit)
    return Answer(
        body=Page[PoolNumber](data=[_shown(row) for row in rows], next=paging.write(call, (last,) if last else None))
    )


def add_number(tx: Tx, call: Call[Nothing, Nothing, AddNumber]) -> Answer:
    added = pool.add(tx, _new(call.body), call.now)
    headers = {"Location": f"/v1/pool/{added.number}", "ETag": etag(added.version)}
    return Answer(status=201, body=_shown(added), headers=headers)


def import_numbers(tx: Tx, call: Call[Nothing, Nothing, ImportNumbers]) -> Answer:
    given = call.body.numbers
    new = [_new(one) for one in given]
    done = pool.would_add(tx, new) if call.body.dry_run else pool.add_many(tx, new, call.now)
    refused = dict.fromkeys(done.taken, "is in the pool already, as another carrier's")
    if call.body.existing is Existing.REFUSE:
        refused |= dict.fromkeys(done.existing, "is in the pool already")
    if refused:
        wrong = [Wrong(pointer=f"/numbers/{place}/number", detail=refused[place]) for place in sorted(refused)]
        raise Refusal(NUMBER_EXISTS, "Nothing was added. `errors` says which ones are there already.", errors=wrong)
    return Answer(
        body=Imported(
            added=[given[place].number for place in done.added],
            existing=[given[place].number for place in done.existing],
        )
    )


def get_number(tx: Tx, call: Call[NumberPath, Nothing, Nothing]) -> Answer:
    return _versioned(pool.get(tx, call.path.number))


def change_number(tx: Tx, call: Call[NumberPath, Nothing, ChangeNumber]) -> Answer:
    found = pool.get(tx, call.path.number)
    check_version(call, found.version)
    asked = call.body
    return _versioned(pool.change(tx, found, state=asked.state, region=asked.region, label=asked.label))


def remove_number(tx: Tx, call: Call[NumberPath, Nothing, Nothing]) -> Answer:
    found = pool.get(tx, call.path.number)
    check_version(call, found.version)
    pool.remove(tx, found, call.context.settings, call.now)
    return Answer(status=204)


def figures_handler(context: Context) -> Callable[[Call[Nothing, ReadFigures, Nothing]], Answer]:
    """Return what answers with the figures, and keeps them for as long as they may be kept."""
    kept = pool.Figures(context.store, context.clock)

    def show_figures(call: Call[Nothing, ReadFigures, Nothing]) -> Answer:
        at, figures = kept.read()
        rows = [row for one in figures for row in _rows(one, context.carriers.get(one.carrier))]
        return Answer(body=Figures(as_of=at, data=[row for row in rows if _is_wanted(row, call.query)]))

    return show_figures


# --- from records to models -------------------------------------------------------------------------


def _new(given: AddNumber) -> NewNumber:
    return NewNumber(number=given.number, carrier=given.carrier, region=given.region, label=given.label)


def _versioned(record: Record) -> Answer:
    return Answer(body=_shown(record), headers={"ETag": etag(record.version)})


def _shown(record: Record) -> PoolNumber:
    return PoolNumber(
        number=record.number,
        carrier=record.carrier,
        region=record.region or None,
        state=record.state,
        label=record.label,
        in_use=record.live > 0,
        live=record.live,
        session=record.session,
        created_at=record.created_at,
        version=record.version,
    )


def _rows(one: PoolFigures, carrier: Carrier | None) -> list[ChannelFigures]:
    """Return a row for each channel; one without where nothing is known of the carrier."""
    return [
        ChannelFigures(
            carrier=one.carrier,
            region=one.region or None,
            channel=channel,
            numbers=NumberCounts(active=one.active, draining=one.draining, disabled=one.disabled),
            leases=LeaseCounts(live=one.live, quarantined=one.quarantined),
            most_conversations=one.most,
            numbers_needed=one.needed,
            headroom=one.headroom,
        )
        for channel in (channels_of(carrier) if carrier else [None])
    ]


def _is_wanted(row: ChannelFigures, asked: ReadFigures) -> bool:
    return (
        asked.carrier in (None, row.carrier)
        and asked.region in (None, row.region)
        and asked.channel in (None, row.channel)
    )


# --- the table --------------------------------------------------------------------------------------


def operations(context: Context) -> tuple[Operation[Any, Any, Any], ...]:
    """Return what can be done with the pool."""
    return (
        Operation(
            method="GET",
            path="/v1/pool",
            id="list_numbers",
            summary="List the numbers of the pool",
            description="Sorted by number. A page looks at "
            f"{LOOK:,} numbers at most, whatever the filters leave of them: it may hold fewer than `limit`, or none, "
            "while `next` is not null.",
            role=Role.READER,
            query=ListNumbers,
            answers={200: Page[PoolNumber]},
            problems=(BAD_CURSOR,),
            handler=reading(list_numbers),
        ),
        Operation(
            method="POST",
            path="/v1/pool",
            id="add_number",
            summary="Add a number",
            role=Role.OPERATOR,
            body=AddNumber,
            answers={201: PoolNumber},
            problems=(NUMBER_EXISTS,),
            handler=writing(add_number),
            versioned=True,
        ),
        Operation(
            method="POST",
            path="/v1/pool/import",
            id="import_numbers",
            summary="Add many numbers",
            description=f"Up to {MOST} in one request, all of them or none. A longer list goes in several "
            "requests; with `existing: skip` each of them can be sent again. With `dry_run` nothing "
            "is added, whatever is answered.",
            role=Role.OPERATOR,
            body=ImportNumbers,
            answers={200: Imported},
            problems=(NUMBER_EXISTS,),
            handler=writing(import_numbers, unless=lambda call: call.body.dry_run),
        ),
        Operation(
            method="GET",
            path="/v1/pool/figures",
            id="show_figures",
            summary="Say how much of the pool is in use",
            description="For each carrier, country and channel.",
            role=Role.READER,
            query=ReadFigures,
            answers={200: Figures},
            handler=figures_handler(context),
        ),
        Operation(
            method="GET",
            path="/v1/pool/{number}",
            id="get_number",
            summary="Get a number",
            role=Role.READER,
            params=NumberPath,
            answers={200: PoolNumber},
            problems=(NUMBER_UNKNOWN,),
            handler=reading(get_number),
            versioned=True,
        ),
        Operation(
            method="PATCH",
            path="/v1/pool/{number}",
            id="change_number",
            summary="Change a number's state, region or label",
            role=Role.OPERATOR,
            params=NumberPath,
            body=ChangeNumber,
            answers={200: PoolNumber},
            problems=(NUMBER_UNKNOWN, CHANGED),
            handler=writing(change_number),
            versioned=True,
        ),
        Operation(
            method="DELETE",
            path="/v1/pool/{number}",
            id="remove_number",
            summary="Remove a number",
            description="Refused while a live session is on it. Set it to `draining` first: it gets no new ones.",
            role=Role.ADMIN,
            params=NumberPath,
            answers={204: None},
            problems=(NUMBER_UNKNOWN, NUMBER_IN_USE, CHANGED),
            handler=writing(remove_number),
            versioned=True,
        ),
    )
