"""Mask secrets in text: secrets in addresses, and values of environment variables.

In every address the login is masked (also the user name, because it may be a token), and the values of query and
fragment; their names stay. The value of each environment variable whose name ends in a word like PASSWORD or
TOKEN is masked everywhere, also in the encodings of addresses, JSON and headers.
"""

import base64
import functools
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from types import TracebackType
from urllib.parse import quote, quote_plus, unquote

MASK = "***"

_MIN_SECRET_LENGTH = 4
"""Characters. Shorter values are not masked, because they occur in many words."""
_MIN_SUBSTRING_LENGTH = 8
"""Characters. Shorter values are masked only as whole words."""
_MIN_TOKEN_LENGTH = 12
"""Characters. A shorter user name in an address is a name such as deploy@, not a token."""
_NO_SECRETS = {"true", "false", "none", "null"}  # for example MLFLOW_X_TOKEN=false

_NAME_ENDINGS = (
    r"passwords?|passwd|passphrase|pwd|secrets?|token|api[_-]?key|access[_-]?key|account[_-]?key|secret[_-]?key"
    r"|auth[_-]string|connection[_-]string|signature|credential"
)
"""Endings of the names of variables and parameters that hold secrets."""
_SECRET_VARIABLE = re.compile(rf"^(?!(?:old)?pwd$).*(?:{_NAME_ENDINGS})$", re.IGNORECASE)  # PWD is a folder
_ADDRESS_VARIABLE = re.compile(r"(?:_proxy|ur[il])$", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(rf"(?:{_NAME_ENDINGS}|sig|key|auth)$", re.IGNORECASE)

_ADDRESS = re.compile(
    r"""([a-z0-9][a-z0-9+.-]{0,30}:(?:\\{0,3}[/\\]){2}  # any scheme, with the escaped slashes of some JSON
        | \bhttps?:/(?=[^/\s@]+@) | \b[a-z][a-z0-9+.-]{1,30}:/(?=[^/\s:@]*:[^/\s@]+@)  # a slash too few
        | (?<![\w/:.\\-])//(?=[^/\s@]+@))  # or no scheme
        ([^\s"<>`]+)""",
    re.IGNORECASE | re.VERBOSE,
)
_BARE_LOGIN = re.compile(
    r"""(?<![\w/:@.%+-])(?!mailto:)[\w.%+-]+:[^\s:@/'"]+@
        (?=(?:[\w-]+\.)+[\w-]+ | localhost\b | \[[0-9a-f:.]+\] | [\w-]+:(?:\d{1,5}\b|/))""",
    re.IGNORECASE | re.VERBOSE,
)
_QUERY_VALUE = re.compile(  # in an address without host, as in logs of servers; or in a file name of that form
    rf"""(?<=[?&])([\w.%~\[\]-]*(?:{_NAME_ENDINGS}|sig|key|auth))=(?!\*\*\*)[^\s&#"'<>`]+""", re.IGNORECASE
)
_ASSIGNED = re.compile(
    rf"""((?<!/)(?:{_NAME_ENDINGS})(?:=|["']?\s*[:=]\s*(?=["'])))("[^"]*"|'[^']*'|[^\s"'&;,)\]}}]+)""", re.IGNORECASE
)
_HEADER = re.compile(
    r"""(authorization["']?\s*[:=,]\s*b?["']?(?:basic|bearer|token|digest)?)\s+[^\s"',]+""", re.IGNORECASE
)
_END_OF_SENTENCE = ".,;:)]}'\\"


def masked(text: object) -> str:
    """Mask every secret that can be recognised. Masking a text twice gives the same result."""
    shown = str(text)
    known = _compile_secrets(tuple(_list_secret_variables()))
    return masked_addresses(known.sub(MASK, shown) if known else shown)


def masked_addresses(text: str) -> str:
    """Mask secrets in addresses, headers and assignments; do not look at the environment."""
    shown = _ADDRESS.sub(_mask_address, text)
    shown = _BARE_LOGIN.sub(f"{MASK}@", shown)
    shown = _QUERY_VALUE.sub(rf"\1={MASK}", shown)
    shown = _ASSIGNED.sub(rf"\1{MASK}", shown)
    return _HEADER.sub(rf"\1 {MASK}", shown)


def mask_process() -> None:
    """Mask all later log records of this process and its final traceback. A second call changes nothing."""
    factory = logging.getLogRecordFactory()
    if not isinstance(factory, _MaskingFactory):
        logging.setLogRecordFactory(_MaskingFactory(factory))
    sys.excepthook = _print_masked


class _MaskingFactory:
    """Factory of log records without secrets. Handlers and formatters of all libraries then get masked text."""

    def __init__(self, factory: object) -> None:
        self._factory = factory

    def __call__(self, *arguments: object, **options: object) -> logging.LogRecord:
        record: logging.LogRecord = self._factory(*arguments, **options)  # type: ignore[operator]
        try:
            message = record.getMessage()
        except Exception:  # a malformed record: `logging` itself reports that
            return record
        if (shown := masked(message)) != message:
            record.msg, record.args = shown, ()
        if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            if (shown := masked(trace)) != trace:
                record.exc_text = shown  # formatters use this text if it is set
        return record


def _print_masked(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))


def _mask_address(found: re.Match[str]) -> str:
    scheme, rest = found.groups()
    whole, rest = rest, rest.rstrip(_END_OF_SENTENCE)
    after = whole[len(rest) :]
    if not rest.startswith(("/", "\\")):
        rest = _mask_login(rest)
    return scheme + _mask_query(rest) + after


def _mask_login(rest: str) -> str:
    """Mask the login in the part of an address after the two slashes. A password may hold slashes and colons."""
    authority = re.split(r"[/\\?#]", rest, maxsplit=1)[0]
    begins_login = re.search(r":(?!\d*\Z)", re.sub(r"\A\[[^\]]*\]", "", authority)) is not None  # not a port
    if "@" not in authority and not begins_login:
        return rest
    return MASK + rest[rest.rindex("@") :] if "@" in rest else MASK


def _mask_query(rest: str) -> str:
    path, mark, fragment = rest.partition("#")
    path, question, query = path.partition("?")
    is_file = rest.startswith("/")  # sqlite:////folder/file: names of folders may hold any character
    if question and not (is_file and "=" not in query):
        query = re.sub(r"[^&;]+", _mask_parameter, query)
    if mark and "=" in fragment:
        fragment = re.sub(r"[^&;?]+", lambda found: _mask_parameter(found) if "=" in found[0] else found[0], fragment)
    elif mark and fragment and not is_file and not re.fullmatch(r"/.*|[a-z]+(?:-[a-z]+)*", fragment):  # a page's part
        fragment = MASK
    return path + question + query + mark + fragment


def _mask_parameter(found: re.Match[str]) -> str:
    name, _, value = found[0].partition("=")
    return f"{name}={MASK}" if value and re.fullmatch(r"[\w.%~/\[\]-]{1,40}", name) else MASK


def _list_secret_variables() -> Iterator[tuple[str, str]]:
    """Yield name and value of the environment variables that may hold a secret."""
    for name in list(os.environ):  # another thread may remove one meanwhile
        value = os.environ.get(name, "")
        if value and (_SECRET_VARIABLE.search(name) or "://" in value or _ADDRESS_VARIABLE.search(name)):
            yield name, value
            for user in (name[: -len("PASSWORD")] + each for each in ("USER", "USERNAME") if name.endswith("PASSWORD")):
                yield user, os.environ.get(user, "")


@functools.lru_cache(maxsize=4)
def _compile_secrets(variables: tuple[tuple[str, str], ...]) -> re.Pattern[str] | None:
    """Return a pattern that matches the secrets of these variables in all encodings; None if there are no secrets."""
    secrets = {spelling for secret in _list_secrets(dict(variables)) for spelling in _list_spellings(secret)}
    parts = sorted((each for each in secrets if len(each) >= _MIN_SECRET_LENGTH), key=len, reverse=True)
    words = [
        rf"(?<!\w){re.escape(each)}(?!\w)" if len(each) < _MIN_SUBSTRING_LENGTH else re.escape(each) for each in parts
    ]
    return re.compile("|".join(words)) if words else None


def _list_secrets(variables: dict[str, str]) -> Iterator[str]:
    for name, value in variables.items():
        if _SECRET_VARIABLE.search(name) and value.strip().lower() not in _NO_SECRETS:
            yield value
            if name.upper().endswith("AUTH_STRING"):  # user:password
                yield value.partition(":")[2]
                yield _encode_basic(value)
            for user in ("USER", "USERNAME") if name.endswith("PASSWORD") else ():
                if login := variables.get(name[: -len("PASSWORD")] + user):
                    yield _encode_basic(f"{login}:{value}")
        elif "://" in value or _ADDRESS_VARIABLE.search(name):
            yield from _list_secrets_of_address(value.strip())


def _list_secrets_of_address(address: str) -> Iterator[str]:
    """Yield passwords, tokens used as user names, and secrets in the query.

    An address with several "@" is ambiguous, so yield the secrets of every possible reading.
    """
    slashes, rest = re.match(r"(?:[a-z][a-z0-9+.-]*:)?([/\\]*)(.*)", address, re.IGNORECASE | re.DOTALL).groups()  # type: ignore[union-attr]
    ends = [place for place, character in enumerate(rest) if character == "@"] if len(slashes) < len("///") else []
    for end in ends:
        login = rest[:end]
        user, colon, password = login.partition(":")
        if colon and password != user:  # the password of mlflow:mlflow@ is no secret, and the word occurs everywhere
            yield password
            yield _encode_basic(f"{unquote(user)}:{unquote(password)}")
        elif not colon and "/" not in login and len(user) >= _MIN_TOKEN_LENGTH:
            yield user
    query = rest.partition("?")[2]
    for parameter in re.split(r"[&;#]", query):
        name, equals, value = parameter.partition("=")
        if not equals or _SECRET_PARAMETER.search(name):
            yield value if equals else name


def _encode_basic(login: str) -> str:
    """Encode a login as an ``Authorization`` header does."""
    return base64.b64encode(login.encode("utf-8", "surrogateescape")).decode()


def _list_spellings(secret: str) -> Iterable[str]:
    plain = {secret, secret.strip(), unquote(secret)}
    for each in plain:
        quoted = (quote(each, safe="", errors="replace"), quote(each, errors="replace"))
        yield from (each, *quoted, quote_plus(each, errors="replace"), json.dumps(each)[1:-1], repr(each)[1:-1])
