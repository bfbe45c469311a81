"""What a mirror is shown to let us in: a token, or a user name and a password, from the environment alone.

They go to the mirror that ``source`` names, and to nobody else: not to the publishers, and not to whom
a redirect leads (`segline.data.download.address`).
"""

import base64
import os
from urllib.parse import urlsplit

from segline.errors import ConfigError

TOKEN, USER, PASSWORD = "SEGLINE_SOURCE_TOKEN", "SEGLINE_SOURCE_USER", "SEGLINE_SOURCE_PASSWORD"


def authorization(source: str) -> str | None:
    """The ``Authorization`` header for a mirror; None where the environment has none, or the mirror is no web server.

    Raises:
        ConfigError: the variables contradict each other, or hold what no header can.
    """
    if urlsplit(source).scheme.lower() not in {"http", "https"}:
        return None
    token, user, password = (os.environ.get(name, "") for name in (TOKEN, USER, PASSWORD))
    if token and (user or password):
        raise _wrong(f"it is set beside {USER if user else PASSWORD}", "a token, or a user name and a password")
    if bool(user) != bool(password):
        there, lacking = (USER, PASSWORD) if user else (PASSWORD, USER)
        raise _wrong(f"{there} is set without {lacking}", "both, or neither", place=lacking)
    if token:
        if not token.isascii() or not token.isprintable() or " " in token:
            raise _wrong("it holds a space, a line's end or the like", "one word of ASCII characters")
        return f"Bearer {token}"
    if user:
        if ":" in user or not f"{user}{password}".isprintable():
            raise _wrong("a colon, or a character that shows nothing", "a plain user name and password", place=USER)
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    return None


def _wrong(found: str, expected: str, *, place: str = TOKEN) -> ConfigError:
    return ConfigError(place, found=found, expected=expected, remedy="correct these variables, or unset them")
