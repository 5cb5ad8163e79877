"""The sample files of `conf/`, wherever this geosteer is installed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from geosteer.errors import GeosteerError


class SamplesMissing(GeosteerError):
    """This installation came without its sample files."""


def folder() -> Path:
    """The folder that holds geosteer.toml, backend.toml, users.acl and the other samples.

    In a wheel it is `geosteer_loader/conf`, in the Debian package a link there to /usr/share/geosteer; an editable
    install runs the checkout's code and so finds the checkout's `conf/`.

    Raises: SamplesMissing: there is neither.
    """
    package = Path(str(resources.files("geosteer_loader")))
    places = (package / "conf", package.parent.parent / "conf")
    for place in places:
        if (place / "geosteer.toml").is_file():
            return place
    raise SamplesMissing(f"no sample files in {places[0]}: install geosteer again")


def read(name: str) -> str:
    """The text of one sample, such as "users.acl".

    Raises: SamplesMissing: this installation has no such file.
    """
    path = folder() / name
    try:
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        raise SamplesMissing(f"{path}: {exc.strerror}") from exc
