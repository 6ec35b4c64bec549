"""Start the model server of the slot in the settings: ``python -m riskcast.serving``."""

from __future__ import annotations

import os
import sys

from riskcast.core import redaction
from riskcast.core.errors import RiskcastError
from riskcast.core.settings import read_settings

SWITCH_INTERVAL = 0.0002  # seconds


def main() -> None:
    """Serve until stopped, in one process.

    Raises
    ------
    RiskcastError
        If the settings contradict each other.
    """
    # One row a request: a thread team costs more than it computes. Must be set before NumPy loads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # A model is loaded beside the requests: let them wait less for the interpreter.
    sys.setswitchinterval(SWITCH_INTERVAL)
    import uvicorn

    from riskcast.serving.app import create_app
    from riskcast.serving.whole import WholeAnswers

    settings = read_settings()
    app = create_app(settings)
    uvicorn.run(
        app,
        host=settings.host,
        port=int(settings.blue_port if settings.slot == "blue" else settings.green_port),
        workers=1,
        loop="uvloop",
        http=WholeAnswers,
        access_log=False,
        server_header=False,
        # Longer than nginx keeps its upstream connections, so that nginx closes them first.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=10,
        ws_max_size=4096,  # a client has nothing to say but its key
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
    )


if __name__ == "__main__":
    redaction.install()
    try:
        main()
    except RiskcastError as error:
        sys.exit(redaction.redact(f"{error.code}: {error}"))
