"""What the server answers from: a store, what is open of it, and the thread that computes."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event

from hypencli.api import Project
from hypencli.ops.search.pool import AskerPool
from hypencli.serve.lane import Lane
from hypencli.serve.metrics import Metrics
from hypencli.serve.settings import Settings
from hypestore import Store


@dataclass(frozen=True, slots=True)
class ServerState:
    """What the server answers from.

    Attributes:
        settings: Settings of the server.
        project: The store, with the operations of the library.
        pool: Open models and embedding sets.
        lane: The thread that computes.
        metrics: Counts and times.
        warmed: Set when the model of questions that name none is loaded.
        ending: Set when the server ends, so that streams without an end stop.
    """

    settings: Settings
    project: Project
    pool: AskerPool
    lane: Lane
    metrics: Metrics
    warmed: Event = field(default_factory=Event)
    ending: Event = field(default_factory=Event)

    @classmethod
    def open(cls, settings: Settings) -> ServerState:
        """Open the store of the settings.

        Raises:
            StoreNotFound: There is no store.
        """
        store = Store.open(settings.store)
        device = settings.device or store.defaults.get("device")
        pool = AskerPool(store, device=device, trust_code=settings.trust_code)
        lane = Lane(settings.limits)
        return cls(settings, Project(store), pool, lane, Metrics(lambda: lane.waiting))

    @property
    def store(self) -> Store:
        """The storage layer's object."""
        return self.project.store
