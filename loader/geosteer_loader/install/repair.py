"""Writing again what a set of files has lost, and nothing else: what is there stays as it is."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from geosteer.errors import GeosteerError
from geosteer_loader.install.answers import Answers, Node
from geosteer_loader.install.files import file_set
from geosteer_loader.install.servers import SERVERS
from geosteer_loader.install.write import Written, includes_line, read_manifest, write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from geosteer_loader.install.host import Host
    from geosteer_loader.install.place import Place


def repair(place: Place, host: Host, token: Callable[[], str]) -> tuple[Written, Answers]:
    """Write the files, and lines in others, that are missing, by the answers that `init` was given.

    A password that is lost is made anew, and the ACL file with it. Groups that came later are in the units then.

    Args: token: gives a fresh random password.
    Raises: GeosteerError: what `init` was told is not known; or as `file_set` and `write` do.
    """
    manifest = read_manifest(place, host)
    answers = recorded_answers(manifest)
    fresh = False

    def password(role: str) -> str:
        nonlocal fresh
        try:
            return host.at(place.folder / f"{role}.password").read_text().strip()
        except FileNotFoundError:
            fresh = True
            return token()

    configuration = host.at(place.folder / "geosteer.toml")
    try:
        loaders = configuration.read_text() if configuration.exists() else None
        wanted = file_set(answers, place, host, password, loaders=loaders)
    except (OSError, UnicodeDecodeError) as exc:
        raise GeosteerError(f"{place.folder}: a file there cannot be read: {exc}") from exc
    users = place.users(answers.server)
    lost = [
        file
        for file in wanted.files
        if not os.path.lexists(host.at(file.path)) or (fresh and file.path == users)
    ]
    if not lost and all(includes_line(include, host) for include in wanted.includes):
        return Written(), answers
    written = write(
        replace(wanted, files=tuple(lost)), place, host, answers, force=True, before=manifest["files"]
    )
    return written, answers


def recorded_answers(manifest: Mapping[str, Any]) -> Answers:
    """The answers that `init` was given. Raises: GeosteerError: they are not all there."""
    try:
        about = dict(manifest["about"])
        about["server"] = SERVERS[about["server"]["name"]]
        for key in ("nodes", "name_servers"):
            about[key] = tuple(
                Node(node["name"], tuple(node["addresses"]), node["place"] and tuple(node["place"]))
                for node in about[key]
            )
        about["countries"] = tuple((code, tuple(names)) for code, names in about["countries"])
        for key in ("services", "listen"):
            about[key] = tuple(about[key])
        return Answers(**about)
    except (KeyError, TypeError, ValueError) as exc:
        raise GeosteerError("init.json is damaged: what `geosteer init` was told is not known") from exc
