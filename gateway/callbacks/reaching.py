"""Whether somebody listens where an endpoint is: for `gateway check`, which sends nothing there."""

from __future__ import annotations

import socket
from urllib.request import getproxies, proxy_bypass

from gateway.callbacks.endpoints import Endpoint

TIMEOUT = 5.0  #: seconds


def is_proxied(endpoint: Endpoint) -> bool:
    """Return whether the environment has a proxy for it: then it need not be reachable from here."""
    scheme = endpoint.url.partition(":")[0]
    return not {scheme, "all"}.isdisjoint(getproxies()) and not proxy_bypass(endpoint.host)


def unreachable(endpoint: Endpoint) -> str:
    """Connect, hang up, and return why that did not work; "" if it did."""
    try:
        socket.create_connection((endpoint.host, endpoint.port), TIMEOUT).close()
    except socket.gaierror:
        return "its host is not known"
    except (OSError, UnicodeError) as error:
        return f"cannot be reached ({getattr(error, 'strerror', None) or type(error).__name__})"
    return ""
