"""The login of this checkout's own Prefect servers.

Whoever reaches a Prefect server may have it run any command, and every page that a browser on this machine
shows can reach loopback. So the servers of `make up` and of a flow ask for a login. It is made on first
use and lies in a profile that Prefect reads from the checkout (``profiles_path`` in ``prefect.toml``): no
command line and no tracked file holds it, and ``prefect`` in the project's folder needs no typing.

Another Prefect server has another profile (``prefect profile create``, ``prefect cloud login``): the login
here stays here.
"""

import os
import secrets
import stat
import sys
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from segline.errors import ConfigError
from segline.storage import atomic_file

PROFILE = "segline"
PLACE = Path(".prefect", "profiles.toml")
"""Where the login lies, below the project's folder; git ignores it."""

_CLIENT, _SERVER = "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"
_OURS_ALONE = 0o600
_BYTES = 24  # of chance: too many to be guessed


def environment(root: Path) -> dict[str, str]:
    """Make the login of the project at `root` if there is none yet; say how Prefect is told of it.

    Returns:
        Environment variables that select the profile; none of them holds the login itself.

    Raises:
        ConfigError: the file is no list of profiles.
        StorageError: no room or no right to write.
    """
    path = root / PLACE
    document = _read(path)
    profiles: Any = document.setdefault("profiles", tomlkit.table())
    profile: Any = profiles.setdefault(PROFILE, tomlkit.table())
    known = profile.get(_CLIENT)
    # What others could read is not secret any more.
    if not known or profile.get(_SERVER) != known or stat.S_IMODE(path.stat().st_mode) != _OURS_ALONE:
        login = f"{PROFILE}:{secrets.token_urlsafe(_BYTES)}"
        profile.update({_CLIENT: login, _SERVER: login, "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true"})
        document.setdefault("active", PROFILE)
        _write(path, tomlkit.dumps(document))
    return {"PREFECT_PROFILES_PATH": str(path), "PREFECT_PROFILE": PROFILE}


def _read(path: Path) -> tomlkit.TOMLDocument:
    try:
        found = tomlkit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from error
    profiles = found.get("profiles", {})
    if not isinstance(profiles, dict) or not isinstance(profiles.get(PROFILE, {}), dict):
        raise _unreadable(path, "`profiles` is no table")
    return found


def _unreadable(path: Path, found: str) -> ConfigError:
    return ConfigError(
        path,
        found=found,
        expected="Prefect's list of profiles",
        remedy="delete the file (it holds the login of this folder's Prefect servers): a new login is made",
    )


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as partial:
        partial.chmod(_OURS_ALONE)
        partial.write_text(text, encoding="utf-8")


def drop_others(environment: dict[str, str]) -> dict[str, str]:
    """Return `environment` without logins of its own, which Prefect would prefer to the profile's."""
    return {name: value for name, value in environment.items() if name not in (_CLIENT, _SERVER)}


def is_agreed() -> bool:
    """Tell whether a server that this process starts will ask for a login, and for the one that this process has."""
    from prefect.settings import get_current_settings  # here: what only wants a login need not wait for Prefect

    settings = get_current_settings()
    asked, known = settings.server.api.auth_string, settings.api.auth_string
    return bool(asked) and asked == known


def is_own(root: Path) -> bool:
    """Tell whether the login that this process has is that of the project at `root`."""
    from prefect.settings import get_current_settings

    known = get_current_settings().api.auth_string
    profile: Any = _read(root / PLACE).get("profiles", {}).get(PROFILE, {})
    return known is not None and known.get_secret_value() == profile.get(_CLIENT)


def use(root: Path) -> None:
    """Start this process again with the login of the project at `root`: Prefect reads it when it is imported.

    Raises:
        ConfigError: that was done already, and something else still overrides the login.
    """
    profile = environment(root)
    if profile.items() <= os.environ.items():
        raise ConfigError(
            root / ".env",
            found=f"{_CLIENT} or {_SERVER}, which override the login in {PLACE}",
            expected="no login there",
            remedy="delete these lines",
        )
    os.execve(sys.executable, sys.orig_argv, drop_others(dict(os.environ)) | profile)  # noqa: S606
