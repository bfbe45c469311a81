"""Read the login for a mirror from the environment: a token, or a user name and a password.

The login is sent only to the mirror that ``source`` names. It is not sent to publishers, and not to servers
that the mirror redirects to (`segline.data.download.address`).
"""

import base64
import os
from urllib.parse import urlsplit

from segline.errors import ConfigError

TOKEN, USER, PASSWORD = "SEGLINE_SOURCE_TOKEN", "SEGLINE_SOURCE_USER", "SEGLINE_SOURCE_PASSWORD"


def read_authorization(source: str) -> str | None:
    """Return the ``Authorization`` header for a mirror; None without a login, or if the mirror is no web server.

    Raises:
        ConfigError: the variables contradict each other, or contain characters that a header cannot contain.
    """
    if urlsplit(source).scheme.lower() not in {"http", "https"}:
        return None
    token, user, password = (os.environ.get(name, "") for name in (TOKEN, USER, PASSWORD))
    if token and (user or password):
        raise _wrong(f"set together with {USER if user else PASSWORD}", "a token, or a user name and a password")
    if bool(user) != bool(password):
        present, missing = (USER, PASSWORD) if user else (PASSWORD, USER)
        raise _wrong(f"not set, but {present} is", "both, or neither", place=missing)
    if token:
        if not token.isascii() or not token.isprintable() or " " in token:
            raise _wrong("a space, a line end or another character that is not allowed", "one word of ASCII characters")
        return f"Bearer {token}"
    if user:
        if ":" in user or not f"{user}{password}".isprintable():
            raise _wrong("a colon or an invisible character", "a plain user name and password", place=USER)
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    return None


def _wrong(found: str, expected: str, *, place: str = TOKEN) -> ConfigError:
    return ConfigError(place, found=found, expected=expected, remedy="correct these variables, or unset them")
