"""What runs where clients are answered: the trie, the tier, the decision and the front ends.

`Steering` is the way in for a program of your own. Names are imported when they are first used, since the workers that
import one module of this package must start fast.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from geosteer.decision.client import Client as Client
    from geosteer.decision.client import parse as parse_client
    from geosteer.decision.decision import Decision as Decision
    from geosteer.decision.director import Director as Director
    from geosteer.errors import ConfigError as ConfigError
    from geosteer.errors import GeosteerError as GeosteerError
    from geosteer.library.chooser import Choice as Choice
    from geosteer.library.chooser import NoService as NoService
    from geosteer.library.steering import Steering as Steering
    from geosteer.settings import Settings as Settings
    from geosteer.settings import load as load_settings
    from geosteer.sync.lookups import NotReady as NotReady
    from geosteer.sync.tier import Tier as Tier

__all__ = [
    "Choice", "Client", "ConfigError", "Decision", "Director", "GeosteerError", "NoService", "NotReady", "Settings",
    "Steering", "Tier", "load_settings", "parse_client",
]  # fmt: skip

_HOMES = {
    "Choice": "library.chooser", "Client": "decision.client", "ConfigError": "errors", "Decision": "decision.decision",
    "Director": "decision.director", "GeosteerError": "errors", "NoService": "library.chooser", "NotReady": "sync.lookups",
    "Settings": "settings", "Steering": "library.steering", "Tier": "sync.tier", "load_settings": "settings",
    "parse_client": "decision.client",
}  # fmt: skip
_ELSEWHERE = {"load_settings": "load", "parse_client": "parse"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'geosteer' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"geosteer.{home}"), _ELSEWHERE.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
