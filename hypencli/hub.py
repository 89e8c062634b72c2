"""Whether the model hub answers: found out in seconds, without a word of its client."""

from __future__ import annotations

import time
from functools import lru_cache

PATIENCE_SECONDS = 3.0
"""How long a hub that cannot be reached is tried again; one try may take longer, as
``HF_HUB_ETAG_TIMEOUT`` says."""


def network_errors() -> tuple[type[Exception], ...]:
    """What the hub's client raises when there is no answer: its HTTP library is asked of it."""
    from huggingface_hub.errors import HfHubHTTPError

    http = [kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError"]
    return (OSError, *http)


def reach_hub(*, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Return as soon as the hub gives any answer.

    Its client would try again for half a minute, a warning each time, before it says that there is
    no connection. Ask this first where the cache does not have what is needed.

    Args:
        patience_seconds: How long to try again.

    Raises:
        Exception: One of :func:`network_errors`: what the last try met.
    """
    from huggingface_hub import constants, get_session

    started = time.monotonic()
    while True:
        try:
            get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT)
            return
        except network_errors():
            if constants.HF_HUB_OFFLINE or time.monotonic() - started >= patience_seconds:
                raise
        time.sleep(1.0)


def hub_answers() -> bool:
    """Whether the hub answers a single question: for those whom the cache can serve too.

    A model is read in several steps, which all ask: what was found out is good for a minute.
    """
    from huggingface_hub import constants

    return _answers(constants.ENDPOINT, constants.HF_HUB_OFFLINE, int(time.monotonic() // 60))


@lru_cache(maxsize=1)
def _answers(_endpoint: str, _offline: bool, _minute: int) -> bool:
    try:
        reach_hub(patience_seconds=0.0)
    except network_errors():
        return False
    return True
