"""What happens in the demo. Everything shown is what the phones got and what the API was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.demo.stage import MASK, SPARE, STRANGER, DemoFailed, Phone, Stage
from gateway.numbers import digits, display, e164

if TYPE_CHECKING:
    from gateway.demo.screen import Screen

LATE = "One more thing ..."


def play(stage: Stage, screen: Screen) -> None:
    """Play a short conversation through a mask. Raises `DemoFailed` if anybody saw more than the mask."""
    screen.title("Ann and Bob talk through a number that belongs to neither of them: the mask.")
    screen.words("All of it runs on this machine: the carrier is simulated, nobody is texted.\n")
    session = _open(stage, screen)
    _talk(stage, screen)
    _stranger(stage, screen)
    _end(stage, screen, session)
    _verdict(stage, screen)


def curtain_call(stage: Stage, screen: Screen) -> None:
    """Open another session for the user to type in, and say what can be done."""
    screen.words("\nYour turn. The gateway gets a second number, and Ann and Bob a new session.")
    request(stage, screen, "POST", "/tn", {"value": digits(SPARE)})
    request(stage, screen, "POST", "/session", people(stage))
    news = stage.ann.next_news(), stage.bob.next_news()
    with screen.phones(stage.phones) as show:
        show(*news)
    usage(stage, screen)


def usage(stage: Stage, screen: Screen) -> None:
    """Say what can be typed here, and in another terminal."""
    session = stage.session_of(stage.ann)
    lines = [
        ("the numbers", stage.api.curl("GET", "/tn")),
        ("the sessions", stage.api.curl("GET", "/session")),
        ("open a session", stage.api.curl("POST", "/session", people(stage))),
    ]
    if session:
        mask = e164(session["virtual_tn"])
        lines.append(("what a text comes to", stage.api.command("explain", mask, "--from", stage.ann.number)))
        lines.append(("end this one", stage.api.curl("DELETE", "/session", {"session_id": session["id"]})))
    screen.words("\nIn another terminal, while this one stays open:")
    for what, line in lines:
        screen.command(line, what)
    screen.words("\nHere:")
    screen.keys(
        (
            ("a hello", "Ann texts hello"),
            ("b hello", "Bob texts hello"),
            ("a /call", "Ann calls; with busy, declines or ignores behind it, that is how Bob takes it"),
            ("/help", "all of this again"),
            ("/quit", "or Ctrl-C: stop, and remove everything"),
        )
    )


def people(stage: Stage) -> dict[str, str]:
    """Return Ann and Bob as `POST /session` takes them."""
    return {"participant_a": digits(stage.ann.number), "participant_b": digits(stage.bob.number)}


def request(stage: Stage, screen: Screen, method: str, path: str, body: dict[str, str]) -> dict[str, Any]:
    """Ask the API, and show how."""
    screen.command(stage.api.curl(method, path, body))
    answer = stage.api(method, path, body)
    screen.pause()
    return answer


def _open(stage: Stage, screen: Screen) -> str:
    """Give the gateway its mask, open a session, and return its id."""
    screen.words(f"Give the gateway a number, {display(MASK)}, and open a session for the two:")
    request(stage, screen, "POST", "/tn", {"value": digits(MASK)})
    session = request(stage, screen, "POST", "/session", people(stage))
    screen.words("")
    if e164(session["virtual_tn"]) != MASK:
        raise DemoFailed("The session is on another number than the one the gateway was given.")
    return str(session["session_id"])


def _talk(stage: Stage, screen: Screen) -> None:
    ann, bob = stage.phones
    with screen.phones(stage.phones) as show:
        show(ann.next_news(), bob.next_news())
        show([ann.text(MASK, "I am at the north door, with a red umbrella.")], bob.next_news())
        sent = bob.text(MASK, "Five minutes. Look for a grey van.")
        show(ann.next_news(), [sent])
    screen.words("\nBob calls the same number. Ann's phone shows the mask, and they talk:")
    with screen.phones(stage.phones) as show:
        called = bob.call(MASK)
        show(ann.ring(), [called])
    screen.pause()


def _stranger(stage: Stage, screen: Screen) -> None:
    """Let somebody without a session text the mask; only they may hear of it."""
    stranger = Phone("the stranger", stage.network.handset(STRANGER))
    sent = stranger.text(MASK, "Hi, is Ann there?")
    answers = stranger.next_news()
    stage.settle()
    screen.words(f'\nA stranger texts {display(MASK)}: "{sent.words}"')
    for answer in answers:
        screen.words(f'and gets the answer: "{answer.words}"')
    if stage.ann.news() or stage.bob.news():
        raise DemoFailed("The mask slipped: a stranger's text reached Ann or Bob.")
    screen.words("Ann and Bob hear nothing of it.\n")
    screen.pause()


def _end(stage: Stage, screen: Screen, session: str) -> None:
    """End the session; a late text reaches nobody."""
    ann, bob = stage.phones
    screen.words("End the session. What Bob texts after that reaches nobody:")
    request(stage, screen, "DELETE", "/session", {"session_id": session})
    screen.words("")
    with screen.phones(stage.phones) as show:
        show(ann.next_news(), bob.next_news())
        sent = bob.text(MASK, LATE)
        answer = bob.next_news()
        stage.settle()
        show(ann.news(), [sent, *answer])
    screen.words("")


def _verdict(stage: Stage, screen: Screen) -> None:
    """Look through both phones once more, and say what was shown. Raises `DemoFailed`."""
    for phone, other in (stage.phones, stage.phones[::-1]):
        if phone.saw(other.number):
            raise DemoFailed(f"The mask slipped: {phone.name}'s phone shows {other.name}'s real number.")
    if any(text.text == LATE for text in stage.ann.handset.inbox):
        raise DemoFailed("The mask slipped: a text reached Ann after the session had ended.")
    numbers = [each for phone in stage.phones for each in phone.heard_from()]
    if set(numbers) != {MASK}:
        raise DemoFailed("The mask slipped: something came from a number that is not the mask.")
    ann, bob = stage.phones
    screen.right(f"Ann never saw {display(bob.number)}. Bob never saw {display(ann.number)}.")
    screen.words(f"All {len(numbers)} texts and calls that reached the two came from {display(MASK)}.")
