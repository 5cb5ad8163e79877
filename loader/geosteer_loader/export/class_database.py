"""The database of classes of clients: each prefix has the name of its class where a country's code would stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.export.mmdb_writer import database

if TYPE_CHECKING:
    from typing import Any

    from geosteer_loader.export.followed_classes import FollowedClasses
    from geosteer_loader.export.published_state import Picture


class ClassDatabase:
    """Made once, and again when networks change their class."""

    def __init__(self, picture: Picture, name: str) -> None:
        """Args: name: of the file, for who waits for it."""
        self._picture = picture
        self._name = name
        self._made: tuple[list[int], bytes] | None = None

    def of(self, classes: FollowedClasses[Any]) -> bytes:
        """The file for these classes; the same object while it is the same."""
        if self._made is None or self._made[0] is not classes.mapped:
            records = [{"country": {"iso_code": name}} for name in classes.names]
            built = self._picture.generation.serial  # when it was published
            with self._picture.meter(self._name) as shown:
                data = database(
                    classes.spread(), records, kind="geosteer-classes", built=built, progress=shown.progress
                )
            self._made = classes.mapped, data
        return self._made[1]
