"""Statements on one connection to PostgreSQL, with no more round trips than answers that somebody waits for.

By libpq's own calls (`psycopg.pq`): psycopg's cursors take longer in Python for each statement than the server does.
A statement that answers nothing is sent with the next one that does, or with the COMMIT; the server runs them in the
order in which they were given, and what is wrong with one is said then.
"""

from __future__ import annotations

import re
import select
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from gateway.store.db import Row, Statement

try:
    import psycopg
    from psycopg import errors, pq
    from psycopg.adapt import PyFormat, Transformer
except ImportError:  # said in words where somebody wants it: postgres.py
    pass

MOST_WAITING = 128  #: statements that wait to be sent
_PARAMETER = re.compile(r"%\((\w+)\)s")
#: A statement that certainly has no rows: any other is waited for.
_SILENT = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b(?!.*\bRETURNING\b)", re.DOTALL | re.IGNORECASE)
_PLAN_IS_STALE = "0A000"  #: SQLSTATE; of a newer gateway's migration


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """A statement as the server prepares it."""

    name: bytes
    sql: bytes
    names: tuple[str, ...]  #: of its parameters: `$1` is the first
    formats: list[PyFormat]
    answers: bool  #: whether it may return rows


class Plans:
    """The plan of each statement, for all connections of a database. Safe to use from any thread."""

    def __init__(self) -> None:
        self._plans: dict[Statement, Plan] = {}
        self._numbers = count(1)

    def of(self, statement: Statement) -> Plan:
        """Return the plan of a statement."""
        found = self._plans.get(statement)
        return found or self._plans.setdefault(statement, self._plan(statement))

    def _plan(self, statement: Statement) -> Plan:
        names = tuple(dict.fromkeys(_PARAMETER.findall(statement.postgresql)))
        sql = _PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", statement.postgresql).replace("%%", "%")
        formats, answers = [PyFormat.TEXT] * len(names), not _SILENT.match(sql)
        return Plan(f"maskgate_{next(self._numbers)}".encode(), sql.encode(), names, formats, answers)


_Sent = tuple[Plan, Sequence[Any]]


class Pipeline:
    """The statements of one connection. Not to be used by two threads at a time.

    Whatever it is asked may raise `psycopg.Error`: of that statement, or of one that was given before.
    """

    def __init__(self, driver: psycopg.Connection[Any], plans: Plans) -> None:
        """Take the driver's connection, in autocommit: it begins no transaction by itself."""
        self._pg = driver.pgconn
        self._plans = plans
        self._adapt = Transformer.from_context(driver)
        self._columns: dict[Plan, tuple[str, ...]] = {}  #: of those that answered
        self._prepared: set[Plan] = set()
        self._waiting: list[_Sent] = []
        self._is_stale = False
        self._poll = select.poll()

    def begin(self, words: bytes) -> None:
        """Begin a transaction, by these statements."""
        _checked(self._pg.exec_(words))

    def run(self, statement: Statement, params: dict[str, Any]) -> list[Row]:
        """Return the rows of a statement; one that has none may be sent later."""
        plan = self._plans.of(statement)
        if plan not in self._prepared:
            self._prepare(plan)
        values: Any = self._adapt.dump_sequence([params[name] for name in plan.names], plan.formats)
        if plan.answers and not self._waiting:
            return self._rows(plan, self._pg.exec_prepared(plan.name, values))
        self._waiting.append((plan, values))
        if plan.answers:
            return self._rows(plan, self._exchange()[-1])
        if len(self._waiting) >= MOST_WAITING:
            self.catch_up()
        return []

    def run_many(self, statement: Statement, many: list[dict[str, Any]]) -> None:
        """Run a statement that has no rows, so many times."""
        for params in many:
            self.run(statement, params)

    def catch_up(self) -> None:
        """Send what waits, and wait until it is done."""
        if self._waiting:
            self._exchange()

    def commit(self) -> None:
        """End the transaction; what it wrote is on disk."""
        [*_, last] = self._exchange(b"COMMIT") if self._waiting else [_checked(self._pg.exec_(b"COMMIT"))]
        if last.command_status != b"COMMIT":  # so the server ends a transaction in which something had failed
            raise errors.InFailedSqlTransaction("the transaction was rolled back")

    def roll_back(self) -> bool:
        """End the transaction, of which nothing stays. Return whether the connection is of further use."""
        self._waiting.clear()
        if self._pg.pipeline_status != pq.PipelineStatus.OFF:
            return False  # it was left in the middle of an exchange
        if self._pg.transaction_status in (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR):
            self._pg.exec_(b"ROLLBACK")
        if self._is_stale:
            self._pg.exec_(b"DEALLOCATE ALL")
            self._prepared.clear()
            self._columns.clear()
            self._is_stale = False
        return self._pg.transaction_status == pq.TransactionStatus.IDLE

    def _prepare(self, plan: Plan) -> None:
        _checked(self._pg.prepare(plan.name, plan.sql))
        self._prepared.add(plan)

    def _rows(self, plan: Plan, result: pq.abc.PGresult) -> list[Row]:
        self._adapt.set_pgresult(self._sound(result))
        columns = self._columns.get(plan)
        if columns is None:
            names = (result.fname(number) or b"" for number in range(result.nfields))
            columns = self._columns[plan] = tuple(name.decode() for name in names)
        return self._adapt.load_rows(0, result.ntuples, lambda values: dict(zip(columns, values, strict=True)))

    def _exchange(self, *words: bytes) -> list[pq.abc.PGresult]:
        """Send what waits, and `words` after it, in one go; return what each came to. Raises what the first says."""
        sent, self._waiting = self._waiting, []
        self._pg.enter_pipeline_mode()
        for plan, values in sent:
            self._pg.send_query_prepared(plan.name, values)
        for one in words:
            self._pg.send_query_params(one, None)
        self._pg.pipeline_sync()
        results = self._results()
        self._pg.exit_pipeline_mode()
        return [self._sound(result) for result in results]

    def _results(self) -> list[pq.abc.PGresult]:
        """Return the results of what is sent, once all are there; meanwhile others have the interpreter."""
        pg, results = self._pg, list[pq.abc.PGresult]()
        self._poll.register(pg.socket, select.POLLIN | select.POLLOUT)
        while pg.flush():
            self._poll.poll()
            pg.consume_input()  # or each would wait for the other to read
        self._poll.modify(pg.socket, select.POLLIN)
        while (result := self._result()).status != pq.ExecStatus.PIPELINE_SYNC:
            results.append(result)
        return results

    def _result(self) -> pq.abc.PGresult:
        pg = self._pg
        for _ in range(2):  # between the results of two statements there is one that is none
            while pg.is_busy():
                self._poll.poll()
                pg.consume_input()
            if (result := pg.get_result()) is not None:
                return result
        raise psycopg.OperationalError(pg.get_error_message())

    def _sound(self, result: pq.abc.PGresult) -> pq.abc.PGresult:
        try:
            return _checked(result)
        except psycopg.Error as error:
            self._is_stale = self._is_stale or error.sqlstate == _PLAN_IS_STALE
            raise


def _checked(result: pq.abc.PGresult) -> pq.abc.PGresult:
    """Return a result that is none of an error. Raises `psycopg.Error`: without SQLSTATE where the server is gone."""
    if result.status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        return result
    if result.error_field(pq.DiagnosticField.SQLSTATE):
        raise errors.error_from_result(result)
    raise psycopg.OperationalError(result.get_error_message())
