"""Secrets in text: masked in every address, and wherever a secret of the environment stands.

In an address of any kind the login goes (user name too: a token often stands in its place), and so do
the values of its query and its fragment; names stay, so that one sees what was asked. Whatever a
variable holds whose name says that it is a secret is masked wherever it stands, in the spellings that
addresses, JSON and headers give it.
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

_SHORTEST = 4  # characters: a shorter value would be found in every other word
_SHORT = 8  # below that it has to stand as a word of its own
_SHORTEST_TOKEN = 12  # in a user's place: what is shorter is a name, such as deploy@
_NO_SECRETS = {"true", "false", "none", "null"}  # such as of MLFLOW_X_TOKEN=false

_TELLING_WORDS = (
    r"passwords?|passwd|passphrase|pwd|secrets?|token|api[_-]?key|access[_-]?key|account[_-]?key|secret[_-]?key"
    r"|auth[_-]string|connection[_-]string|signature|credential"
)
_SECRET_VARIABLE = re.compile(rf"^(?!(?:old)?pwd$).*(?:{_TELLING_WORDS})$", re.IGNORECASE)  # PWD is a folder
_ADDRESS_VARIABLE = re.compile(r"(?:_proxy|ur[il])$", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(rf"(?:{_TELLING_WORDS}|sig|key|auth)$", re.IGNORECASE)

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
_QUERY_VALUE = re.compile(  # of an address without its host, as servers log them; a file's name may look like one
    rf"""(?<=[?&])([\w.%~\[\]-]*(?:{_TELLING_WORDS}|sig|key|auth))=(?!\*\*\*)[^\s&#"'<>`]+""", re.IGNORECASE
)
_ASSIGNED = re.compile(
    rf"""((?<!/)(?:{_TELLING_WORDS})(?:=|["']?\s*[:=]\s*(?=["'])))("[^"]*"|'[^']*'|[^\s"'&;,)\]}}]+)""", re.IGNORECASE
)
_HEADER = re.compile(
    r"""(authorization["']?\s*[:=,]\s*b?["']?(?:basic|bearer|token|digest)?)\s+[^\s"',]+""", re.IGNORECASE
)
_END_OF_SENTENCE = ".,;:)]}'\\"


def masked(text: object) -> str:
    """`text` without any secret that can be told as one; again changes nothing."""
    shown = str(text)
    known = _known_secrets(tuple(_telling_variables()))
    return masked_addresses(known.sub(MASK, shown) if known else shown)


def masked_addresses(text: str) -> str:
    """As `masked`, going by the text alone."""
    shown = _ADDRESS.sub(_masked_address, text)
    shown = _BARE_LOGIN.sub(f"{MASK}@", shown)
    shown = _QUERY_VALUE.sub(rf"\1={MASK}", shown)
    shown = _ASSIGNED.sub(rf"\1{MASK}", shown)
    return _HEADER.sub(rf"\1 {MASK}", shown)


def mask_process() -> None:
    """From now on mask whatever this process logs, and the traceback it ends with; again changes nothing."""
    factory = logging.getLogRecordFactory()
    if not isinstance(factory, _MaskingFactory):
        logging.setLogRecordFactory(_MaskingFactory(factory))
    sys.excepthook = _print_masked


class _MaskingFactory:
    """Makes log records that hold no secret: all handlers see them, of all libraries, whatever their formatters."""

    def __init__(self, factory: object) -> None:
        self._factory = factory

    def __call__(self, *arguments: object, **options: object) -> logging.LogRecord:
        record: logging.LogRecord = self._factory(*arguments, **options)  # type: ignore[operator]
        try:
            message = record.getMessage()
        except Exception:  # whatever is wrong with it, `logging` tells that in its own way
            return record
        if (shown := masked(message)) != message:
            record.msg, record.args = shown, ()
        if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
            told = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            if (shown := masked(told)) != told:
                record.exc_text = shown  # formatters take it instead of making it again
        return record


def _print_masked(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))


def _masked_address(found: re.Match[str]) -> str:
    beginning, rest = found.groups()
    whole, rest = rest, rest.rstrip(_END_OF_SENTENCE)
    after = whole[len(rest) :]
    if not rest.startswith(("/", "\\")):
        rest = _without_login(rest)
    return beginning + _without_query(rest) + after


def _without_login(rest: str) -> str:
    """What comes after the two slashes. A password may hold slashes, colons and more."""
    authority = re.split(r"[/\\?#]", rest, maxsplit=1)[0]
    begins_login = re.search(r":(?!\d*\Z)", re.sub(r"\A\[[^\]]*\]", "", authority)) is not None  # it is no port
    if "@" not in authority and not begins_login:
        return rest
    return MASK + rest[rest.rindex("@") :] if "@" in rest else MASK


def _without_query(rest: str) -> str:
    path, mark, fragment = rest.partition("#")
    path, question, query = path.partition("?")
    is_file = rest.startswith("/")  # sqlite:////folder/file: its folders may be called anything
    if question and not (is_file and "=" not in query):
        query = re.sub(r"[^&;]+", _masked_parameter, query)
    if mark and "=" in fragment:
        fragment = re.sub(r"[^&;?]+", lambda found: _masked_parameter(found) if "=" in found[0] else found[0], fragment)
    elif mark and fragment and not is_file and not re.fullmatch(r"/.*|[a-z]+(?:-[a-z]+)*", fragment):  # a page's part
        fragment = MASK
    return path + question + query + mark + fragment


def _masked_parameter(found: re.Match[str]) -> str:
    name, _, value = found[0].partition("=")
    return f"{name}={MASK}" if value and re.fullmatch(r"[\w.%~/\[\]-]{1,40}", name) else MASK


def _telling_variables() -> Iterator[tuple[str, str]]:
    """Variables of the environment that may hold a secret."""
    for name in list(os.environ):  # a library's thread may take one away meanwhile
        value = os.environ.get(name, "")
        if value and (_SECRET_VARIABLE.search(name) or "://" in value or _ADDRESS_VARIABLE.search(name)):
            yield name, value
            for user in (name[: -len("PASSWORD")] + each for each in ("USER", "USERNAME") if name.endswith("PASSWORD")):
                yield user, os.environ.get(user, "")


@functools.lru_cache(maxsize=4)
def _known_secrets(variables: tuple[tuple[str, str], ...]) -> re.Pattern[str] | None:
    """Finds the secrets of these variables in all their spellings."""
    secrets = {spelling for secret in _secrets(dict(variables)) for spelling in _spellings(secret)}
    parts = sorted((each for each in secrets if len(each) >= _SHORTEST), key=len, reverse=True)
    words = [rf"(?<!\w){re.escape(each)}(?!\w)" if len(each) < _SHORT else re.escape(each) for each in parts]
    return re.compile("|".join(words)) if words else None


def _secrets(variables: dict[str, str]) -> Iterator[str]:
    for name, value in variables.items():
        if _SECRET_VARIABLE.search(name) and value.strip().lower() not in _NO_SECRETS:
            yield value
            if name.upper().endswith("AUTH_STRING"):  # user:password
                yield value.partition(":")[2]
                yield _basic(value)
            for user in ("USER", "USERNAME") if name.endswith("PASSWORD") else ():
                if login := variables.get(name[: -len("PASSWORD")] + user):
                    yield _basic(f"{login}:{value}")
        elif "://" in value or _ADDRESS_VARIABLE.search(name):
            yield from _secrets_of_address(value.strip())


def _secrets_of_address(address: str) -> Iterator[str]:
    """Passwords, or tokens in their place, and secrets of the query: however the address is to be understood."""
    slashes, rest = re.match(r"(?:[a-z][a-z0-9+.-]*:)?([/\\]*)(.*)", address, re.IGNORECASE | re.DOTALL).groups()  # type: ignore[union-attr]
    ends = [place for place, character in enumerate(rest) if character == "@"] if len(slashes) < len("///") else []
    for end in ends:
        login = rest[:end]
        user, colon, password = login.partition(":")
        if colon and password != user:  # mlflow:mlflow@ is no secret, and the word is everywhere
            yield password
            yield _basic(f"{unquote(user)}:{unquote(password)}")
        elif not colon and "/" not in login and len(user) >= _SHORTEST_TOKEN:
            yield user
    query = rest.partition("?")[2]
    for parameter in re.split(r"[&;#]", query):
        name, equals, value = parameter.partition("=")
        if not equals or _SECRET_PARAMETER.search(name):
            yield value if equals else name


def _basic(login: str) -> str:
    """As an ``Authorization`` header has it."""
    return base64.b64encode(login.encode("utf-8", "surrogateescape")).decode()


def _spellings(secret: str) -> Iterable[str]:
    plain = {secret, secret.strip(), unquote(secret)}
    for each in plain:
        quoted = (quote(each, safe="", errors="replace"), quote(each, errors="replace"))
        yield from (each, *quoted, quote_plus(each, errors="replace"), json.dumps(each)[1:-1], repr(each)[1:-1])
