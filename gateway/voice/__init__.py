"""Calls: who is connected with whom, what is said to them, and what is kept of it.

What follows from a call is decided in `policy.py` (pure) and done in `turns.py`, turn by turn; how it goes on, as its
carrier tells it, is `course.py`. What was recorded: `recordings.py`, and which of it may be heard, `hearing.py`.
Beside all of that, `sweep.py` deletes what is kept no longer, and `hang_ups.py` ends what rings for nobody.
"""
