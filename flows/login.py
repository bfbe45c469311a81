"""Create and find the login of this checkout's own Prefect servers.

Anyone who can reach a Prefect server can make it run any command, and every web page in a browser on this machine can
reach loopback. So the servers of `make up` and of a flow ask for a login. It is created on first use, in a
profile that Prefect reads from the checkout (``profiles_path`` in ``prefect.toml``). No command line and no tracked
file contains it, and the ``prefect`` command in the project's folder finds it by itself.

Another Prefect server needs another profile (``prefect profile create``, ``prefect cloud login``): this login is
never sent there.
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
"""Path of the file with the login, below the project's folder; git ignores it."""

_CLIENT, _SERVER = "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"
_OWNER_ONLY = 0o600
_PASSWORD_BYTES = 24


def environment(root: Path) -> dict[str, str]:
    """Create the login of the project at `root` if there is none; return the variables by which Prefect finds it.

    Returns:
        Environment variables that select the profile; none of them contains the login itself.

    Raises:
        ConfigError: the file is not a list of profiles.
        StorageError: the file cannot be written: no space or no permission.
    """
    path = root / PLACE
    document = _read_profiles(path)
    profiles: Any = document.setdefault("profiles", tomlkit.table())
    profile: Any = profiles.setdefault(PROFILE, tomlkit.table())
    known = profile.get(_CLIENT)
    # A login that others could read is not secret any more: a new one is created.
    if not known or profile.get(_SERVER) != known or stat.S_IMODE(path.stat().st_mode) != _OWNER_ONLY:
        login = f"{PROFILE}:{secrets.token_urlsafe(_PASSWORD_BYTES)}"
        profile.update({_CLIENT: login, _SERVER: login, "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true"})
        document.setdefault("active", PROFILE)
        _write_profiles(path, tomlkit.dumps(document))
    return {"PREFECT_PROFILES_PATH": str(path), "PREFECT_PROFILE": PROFILE}


def _read_profiles(path: Path) -> tomlkit.TOMLDocument:
    try:
        found = tomlkit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise _make_unreadable_error(path, str(error)) from error
    profiles = found.get("profiles", {})
    if not isinstance(profiles, dict) or not isinstance(profiles.get(PROFILE, {}), dict):
        raise _make_unreadable_error(path, "`profiles` is not a table")
    return found


def _make_unreadable_error(path: Path, found: str) -> ConfigError:
    return ConfigError(
        path,
        found=found,
        expected="a list of Prefect profiles",
        remedy="delete the file: a new login for this folder's Prefect servers is then created",
    )


def _write_profiles(path: Path, text: str) -> None:
    with atomic_file(path) as partial:
        partial.chmod(_OWNER_ONLY)
        partial.write_text(text, encoding="utf-8")


def drop_others(environment: dict[str, str]) -> dict[str, str]:
    """Return `environment` without login variables, which Prefect would prefer to the profile's login."""
    return {name: value for name, value in environment.items() if name not in (_CLIENT, _SERVER)}


def is_agreed() -> bool:
    """Return whether a server that this process starts will ask for a login, and this process has that login."""
    from prefect.settings import get_current_settings  # here, because Prefect is slow to import

    settings = get_current_settings()
    asked, known = settings.server.api.auth_string, settings.api.auth_string
    return bool(asked) and asked == known


def is_own(root: Path) -> bool:
    """Return whether this process has the login of the project at `root`."""
    from prefect.settings import get_current_settings

    known = get_current_settings().api.auth_string
    profile: Any = _read_profiles(root / PLACE).get("profiles", {}).get(PROFILE, {})
    return known is not None and known.get_secret_value() == profile.get(_CLIENT)


def use(root: Path) -> None:
    """Restart this process with the login of the project at `root`, because Prefect reads it when it is imported.

    Raises:
        ConfigError: the process was restarted already, and something still overrides the login.
    """
    profile = environment(root)
    if profile.items() <= os.environ.items():
        raise ConfigError(
            root / ".env",
            found=f"{_CLIENT} or {_SERVER}, which override the login in {PLACE}",
            expected="neither of them",
            remedy="delete these lines",
        )
    os.execve(sys.executable, sys.orig_argv, drop_others(dict(os.environ)) | profile)  # noqa: S606
