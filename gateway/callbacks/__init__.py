"""Callbacks: each event POSTed to the application's endpoints, in order, until it took it.

The feed is read into a table of what each endpoint is owed (`courier.py`, `gateway/store/callbacks.py`), and that is
sent and signed (`posting.py`, `signing.py`). What follows from an answer is pure (`verdicts.py`). Nothing about a
callback is an event, or there would be no end.
"""
