"""What tests of `/v1` read problem documents with."""

from __future__ import annotations

import json
from typing import Any

from wsgi import Answer


def refused(answer: Answer, status: int, slug: str = "") -> dict[str, Any]:
    """Return the problem document that an answer is, of this type; "": what HTTP says already."""
    assert (answer.status, answer.type) == (status, "application/problem+json"), answer
    document: dict[str, Any] = json.loads(answer.text)
    assert document["type"] == (f"/v1/docs/problems#{slug}" if slug else "about:blank")
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    return document


def places(document: dict[str, Any]) -> list[str]:
    """Return where the errors of a problem are."""
    return [error.get("pointer", error.get("parameter")) for error in document["errors"]]
