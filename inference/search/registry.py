"""Which version of each model serves: loads, verifies, warms, then swaps one reference.

A request takes the model once and keeps it to its end, so an answer never mixes two versions. A version that is refused
is logged and the one that served before goes on; after a restart the newest earlier version that can be verified
serves.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable
from typing import Any

from artifacts.errors import ArtifactRefused, ModelNotTrained, PuppetError
from artifacts.kinds import load
from artifacts.networks.engines.build import EngineChoice, EngineName
from artifacts.networks.runtime import Model
from artifacts.store.store import Store
from inference.errors import ModelLoading

POLL_S = 0.05  # how soon each worker notices a new version; a look costs 0.1 ms, 0.2 % of a core

log = logging.getLogger("puppet")


class Registry:
    """The loaded models of a store; belongs to one event loop."""

    def __init__(self, store: Store, engine: EngineChoice = "onnxruntime") -> None:
        self.store = store
        self.engine = engine  # that is to answer, as far as it can
        self.on_load: Callable[[], object] = lambda: None  # called whenever something new serves
        self.is_ready = False  # every model with a `current` has been loaded or refused
        self._serving: dict[str, Model[Any]] = {}
        self._seen: dict[str, Hashable] = {}  # model -> stamp of the pointer that was last acted on
        self._lock = asyncio.Lock()  # one load at a time: sessions must not be created side by side

    def serving(self, name: str) -> Model[Any]:
        """Return the version that answers for `name` now.

        Raises:
            ModelNotFound, ModelNotTrained, InvalidName: as the store says.
            ModelLoading: it is there but not loaded yet.
            ArtifactRefused: none of its versions could be verified.
        """
        model = self._serving.get(name)
        if model is not None:
            return model
        self.store.current(name)
        if self._seen.get(name) != self.store.stamp(name):
            raise ModelLoading("model-loading", model_name=name)
        raise ArtifactRefused("no-sound-version", model_name=name)

    def version_of(self, name: str) -> int | None:
        """Return the version that answers for `name` now; None if there is none."""
        model = self._serving.get(name)
        return model.version if model is not None else None

    def engine_of(self, name: str) -> EngineName | None:
        """Return the engine that answers for `name` now; None if there is none."""
        model = self._serving.get(name)
        return model.engine_name if model is not None else None

    def engines(self) -> dict[str, str]:
        """Return the engine of each model that answers now."""
        return {name: model.engine_name for name, model in self._serving.items()}

    def versions(self) -> dict[str, int]:
        """Return the version of each model that answers now."""
        return {name: model.version for name, model in self._serving.items()}

    async def refresh(self) -> None:
        """Load what has changed in the store since the last call."""
        async with self._lock:
            names = await asyncio.to_thread(self.store.models)
            for name in self._seen.keys() - set(names):  # deleted
                del self._seen[name]
                self._serving.pop(name, None)
            for name in names:
                pointer = self.store.stamp(name)
                if pointer is not None and self._seen.get(name) != pointer:
                    try:
                        model = await asyncio.to_thread(self._load, name)
                    except (OSError, PuppetError) as error:  # of this model alone; the next look tries again
                        log.error("model %s cannot be looked at: %s", name, error)
                        continue
                    if model is not None:
                        self._serving[name] = model
                        self.on_load()
                    self._seen[name] = pointer
            self.is_ready = True

    async def watch(self) -> None:
        """Refresh for ever."""
        while True:
            try:
                await self.refresh()
            except OSError as error:  # the store cannot be listed now; what is loaded goes on serving
                log.error("store %s cannot be read: %s", self.store.where, error)
            except Exception:  # nobody waits for this task: were it to end, every later version would go unnoticed
                log.exception("bug in looking at the store %s", self.store.where)
            await asyncio.sleep(POLL_S)

    def _load(self, name: str) -> Model[Any] | None:
        """Return the version that should serve, loaded; None if nothing better than the present one can be had."""
        present = self._serving.get(name)
        try:
            wanted = self.store.current(name).version
            earlier = [version for version in self.store.versions(name) if version < wanted]
        except (ArtifactRefused, ModelNotTrained) as error:
            log.error("model %s: the pointer is refused: %s", name, error)
            earlier = self.store.versions(name)
            wanted = earlier.pop() if earlier else 0
        if present is not None:
            if present.version == wanted:
                return None
            earlier = []  # the present one is verified and in memory: rather that than an older one
        for version in [wanted, *reversed(earlier)]:
            try:
                model = load(*self.store.read_version(name, version), self.engine)
            except PuppetError as error:
                log.error("version refused, the previous one goes on serving: %s", error)
            else:
                log.info(
                    "model %s version %d serves on %s (%s)", name, version, model.engine_name, model.manifest.sha256
                )
                return model
        return None
