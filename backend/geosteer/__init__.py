"""What runs where clients are answered: the trie, the tier, the decision and the front ends.

`Steering` is the way in for a program of your own. Names are imported when they are first used, since the workers that
import one module of this package must start fast.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from geosteer.chooser import Choice as Choice
    from geosteer.chooser import NoService as NoService
    from geosteer.client import Client as Client
    from geosteer.client import parse as parse_client
    from geosteer.director import Decision as Decision
    from geosteer.director import Director as Director
    from geosteer.errors import ConfigError as ConfigError
    from geosteer.errors import GeosteerError as GeosteerError
    from geosteer.settings import Settings as Settings
    from geosteer.settings import load as load_settings
    from geosteer.steering import Steering as Steering
    from geosteer.tier import NotReady as NotReady
    from geosteer.tier import Tier as Tier

__all__ = [
    "Choice", "Client", "ConfigError", "Decision", "Director", "GeosteerError", "NoService", "NotReady", "Settings",
    "Steering", "Tier", "load_settings", "parse_client",
]  # fmt: skip

_HOMES = {
    "Choice": "chooser", "Client": "client", "ConfigError": "errors", "Decision": "director", "Director": "director",
    "GeosteerError": "errors", "NoService": "chooser", "NotReady": "tier", "Settings": "settings", "Steering": "steering",
    "Tier": "tier", "load_settings": "settings", "parse_client": "client",
}  # fmt: skip
_ELSEWHERE = {"load_settings": "load", "parse_client": "parse"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'geosteer' has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(f"geosteer.{home}"), _ELSEWHERE.get(name, name))
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
