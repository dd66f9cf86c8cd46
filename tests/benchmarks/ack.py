"""How many webhooks are acknowledged, on disk, beside what bare Bottle on waitress answers without doing anything."""

from __future__ import annotations

import statistics
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from stage import HERE, Json, gateway, load, run, write_requests

MANY = 400_000  #: webhooks at hand: each is used once


def main(seconds: float = 2.0, rounds: int = 3, pairs: int = 500) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bare = stack.enter_context(run(str(HERE / "bare.py")))
        taker = stack.enter_context(run(str(HERE / "taker.py")))
        targets: dict[str, tuple[str, Path]] = {}
        for carrier in ("flowroute", "signalwire"):
            for name, command in (
                (f"{carrier}, sending paused", ["serve", "--no-dispatch"]),
                (f"{carrier}, sending", ["serve"]),
            ):
                home = folder / name.replace(", ", "-").replace(" ", "-")
                home.mkdir()
                program, lanes = stack.enter_context(gateway(home, carrier, taker, pairs, *command))
                targets[name] = (program.url, write_requests(home / "requests", carrier, lanes, MANY // 4))
        targets["bare"] = (bare, targets["flowroute, sending paused"][1])
        used: dict[str, int] = defaultdict(int)
        found: dict[str, list[Json]] = defaultdict(list)
        for _ in range(rounds):
            for name, (url, requests) in targets.items():
                one = load(
                    requests,
                    url,
                    "--seconds",
                    str(seconds),
                    "--connections",
                    "32",
                    "--skip",
                    str(used[name] if name != "bare" else 0),
                )
                used[name] += one["answered"] + one["broken"] + 64
                found[name].append(one)
        base = statistics.median(one["per_second"] for one in found["bare"])
        for name, many in found.items():
            rate = statistics.median(one["per_second"] for one in many)
            half = load(
                targets[name][1],
                targets[name][0],
                "--seconds",
                str(seconds),
                "--connections",
                "32",
                "--rate",
                str(rate / 2),
                "--skip",
                str(used[name] if name != "bare" else 0),
            )
            print(
                f"{name:28} {rate:8.0f}/s  {rate / base:5.2f}  p50 {statistics.median(o['p50_ms'] for o in many):6.1f}  p99 {statistics.median(o['p99_ms'] for o in many):6.1f}  half: p50 {half['p50_ms']:6.1f} p99 {half['p99_ms']:6.1f}  {many[0]['statuses']}",
                flush=True,
            )


if __name__ == "__main__":
    main()
