"""What tests of sessions in `/v1` ask for, and how they read the answers."""

from __future__ import annotations

from typing import Any

from v1 import refused as problem
from wsgi import Answer, Client

ANN, BOB, CARL, DAN = (f"+1206555020{i}" for i in range(1, 5))


def people(*numbers: str, **more: Any) -> list[dict[str, Any]]:
    """Return participants; what is wished for goes to the first."""
    return [{"number": number} | (more if place == 0 else {}) for place, number in enumerate(numbers)]


def open_(client: Client, *numbers: str, **more: Any) -> dict[str, Any]:
    answer = client("POST", "/v1/sessions", json={"participants": people(*(numbers or (ANN, BOB)))} | more)
    assert answer.status == 201, answer
    found: dict[str, Any] = answer.json()
    return found


def patch(client: Client, session: dict[str, Any], body: Any, **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return client("PATCH", f"/v1/sessions/{session['id']}", json=body, headers=sent)


def post(client: Client, session: dict[str, Any], what: str, body: Any) -> Answer:
    return client("POST", f"/v1/sessions/{session['id']}/{what}", json=body)


def refused(answer: Answer, status: int, slug: str) -> dict[str, Any]:
    """Return the problem document that an answer is. Of people, none repeats a number."""
    for number in (ANN, BOB, CARL, DAN):
        assert number not in answer.text
    return problem(answer, status, slug)


def places(document: dict[str, Any]) -> list[str]:
    return [error["pointer"] for error in document.get("errors", [])]


def masks(session: dict[str, Any]) -> list[str]:
    return [leg["mask"] for leg in session["legs"]]
