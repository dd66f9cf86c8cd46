"""The promises of the program as a whole: who asks gets an answer. What was answered 200 is sent: `test_crash.py`."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import gateways

from gateway.testing.network import Fault

MASK, ANN, BOB = "+12065550100", "+12065550200", "+12065550201"


def test_a_request_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    with ExitStack() as stack:
        net = stack.enter_context(gateways.network("simulator"))
        carriers = {"simulator": gateways.carrier_for(net, "simulator")}
        running = stack.enter_context(gateways.gateway(tmp_path, carriers, GATEWAY_TN_CARRIER="simulator"))
        gateways.api(running, "POST", "/tn", {"value": MASK})
        answer = threading.Event()
        net.fail_next(2, Fault.slow(answer))
        pair = {"participant_a": ANN, "participant_b": BOB}
        with ThreadPoolExecutor(2) as threads:
            asked = threads.submit(gateways.api, running, "POST", "/session", pair)
            net.wait_for(2)  # the gateway waits for the carrier's answer, and the request for the gateway
            stopped = threads.submit(running.stop)
            while not running.http.is_stopping():
                pass
            answer.set()
            assert asked.result(15)[0] == 200
            stopped.result(15)
