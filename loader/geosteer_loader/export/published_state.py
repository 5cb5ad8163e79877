"""What is published, and the nodes' states, at one moment; looked at again and again without reading more than has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.decision.distribution import Distribution
from geosteer_loader.export.compiled_tables import read_cells
from geosteer_loader.progress import Silent
from geosteer_loader.store import node_states
from geosteer_loader.store.generation_view import View
from geosteer_loader.store.store import texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from geosteer.decision.node_state import NodeState
    from geosteer.sync.generation import Generation
    from geosteer_loader.export.compiled_tables import Cells
    from geosteer_loader.progress import Meter
    from geosteer_loader.store.store import Store

RAMP_STEPS = 20
"""Steps in which files follow a node that gets its clients back; workers know no steps."""


class Picture:
    """One generation with the states of its nodes."""

    def __init__(self, store: Store, meter: Callable[[str], Meter] = Silent) -> None:
        """Args: meter: shows the progress of the table that it is given, while it is read.

        Raises: StoreError: nothing usable is published, or Redis failed.
        """
        self._store, self.meter = store, meter
        self._cells: dict[tuple[str, ...], Cells] = {}
        self._distribution: Distribution | None = None
        self._view = View(store)
        self.now = self._view.now
        """Seconds since 1970, by Redis, when something was last seen to change."""
        self.due = self._next_change()
        """When shares change by themselves, seconds since 1970; None: never."""

    @property
    def generation(self) -> Generation:
        """What is published."""
        return self._view.generation

    @property
    def states(self) -> Mapping[str, NodeState]:
        """Node -> its state and override; a node that is not there is unknown."""
        return self._view.mirror.states

    @property
    def distribution(self) -> Distribution:
        """Who gets how many clients, as the states are now."""
        if self._distribution is None:
            self._distribution = Distribution(self.generation.model, self.states, self.now)
        return self._distribution

    @property
    def standings(self) -> dict[str, tuple[object, bool]]:
        """Node -> what of its state matters to answers: what it keeps of its clients, and whether its checks fail."""
        standing, states = self.distribution.standing, self.states
        return {
            name: (standing.get(name), name in states and states[name].failing)
            for name in self.generation.model.nodes
        }

    def refresh(self) -> bool:
        """Look again; whether something changed that files may depend on.

        Raises: StoreError: as `Picture`; what was seen before stays.
        """
        keys, nodes = self._store.keys, list(self.generation.model.nodes)
        raw, (seconds, micro), *states = self._store.pipe(
            [("HGETALL", keys.current), ("TIME",), *node_states.questions(keys, nodes)], tolerant=True
        )
        fields = texts(raw)
        if fields != self.generation.fields:
            self._take(View(self._store, fields))
            return True
        changed = node_states.take_in(self._view.mirror, nodes, states)
        now = int(seconds) + int(micro) / 1e6
        due = self.due is not None and now >= self.due
        if changed or due:
            self._distribution = None
            self.now = now
            self.due = self._next_change()
        return changed or due

    def cells(self, wanted: Iterable[str]) -> Cells:
        """The tables put together; kept as long as they are the published ones."""
        tables = tuple(sorted(set(wanted)))
        if tables not in self._cells:
            self._cells[tables] = read_cells(self._store, self.generation, tables, self.meter)
        return self._cells[tables]

    def _take(self, view: View) -> None:
        if _roots(self.generation) != _roots(view.generation):
            self._cells = {}
        self._distribution = None
        self._view, self.now = view, view.now
        self.due = self._next_change()

    def _next_change(self) -> float | None:
        times = []
        for name, node in self.generation.model.nodes.items():
            state = self.states.get(name)
            if state is None:
                continue
            override = state.forced(self.now)
            if override and override.until is not None:
                times.append(override.until)
            if state.ramping(self.now, node.ramp):
                times.append(min(self.now + max(1.0, node.ramp / RAMP_STEPS), state.since + node.ramp))
        return min(times, default=None)


def _roots(generation: Generation) -> dict[tuple[str, int], bytes]:
    return {place: tree.root for place, tree in generation.trees.items()}
