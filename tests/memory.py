"""Where tests keep what need not outlive a power cut: in memory, if there is enough of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  #: a file system in memory, on Linux; a container may have 64 MB of it
ENOUGH = 2 << 30  #: bytes free


def room() -> str:
    """Return the folder below which to make folders; on disk it is that of all temporary files."""
    enough = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH
    return str(MEMORY) if enough else tempfile.gettempdir()
