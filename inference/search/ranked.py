"""The answer to a search that asks for more than a category, or lets the model abstain.

    contents -> ids -> batcher, with the model's ranker -> what was asked for

In: what is asked about, and of a ranking. Out: a category, or none and the reason, with the best guesses beside. What
it leaves to others: when a model is sure enough (artifacts/evaluation/abstain.py), plain searches (search.py).
"""

import time
from collections.abc import Callable
from typing import Any

import msgspec

from artifacts.errors import EmptyTicket, Fault, InvalidContent
from artifacts.networks.runtime import Model
from artifacts.schemas import Ranking
from artifacts.system.validation import does_not_fit
from artifacts.text.tickets import RankedPrediction
from inference.search.batcher import Batcher
from inference.search.bodies import Faults, encode_one, in_turns
from inference.search.context import AskedInput, RequestContext

NUM_GUESSES = 3  # beside no category, where the caller does not say how many

EMPTY = RankedPrediction(
    category=None, confidence=0.0, unknown_tokens=[], num_truncated_tokens=0, reason="empty", best=[]
)


def ranking_of(model: Model[Any], asked: Ranking | None) -> Ranking | None:
    """Return what is to be answered beyond a plain answer; None if a plain one is.

    Args:
        model: whose own setting counts where the caller does not say whether it may abstain.
        asked: by the caller.
    """
    if asked is None and (model.abstention is None or not model.abstention.by_default):
        return None
    asked = asked or Ranking()
    by_default = model.abstention is not None and model.abstention.by_default
    return Ranking(by_default if asked.abstain is None else asked.abstain, asked.top_k)


async def rank(
    model: Model[Any],
    contents: dict[str, Any],
    ranking: Ranking,
    batcher: Batcher,
    context: RequestContext,
    asked: Callable[[int], AskedInput | None] = lambda _: None,
) -> list[RankedPrediction]:
    """Return the answer to each input, in order.

    Args:
        model: that is asked.
        contents: JSON Pointer -> input.
        ranking: from `ranking_of`.
        batcher: of the process.
        context: learns how long each stage took.
        asked: returns an input as it was sent, by its place in `contents`.
    Raises:
        InvalidInput: inputs cannot be read, or the model cannot do what is asked.
        ServerFull, TooLate, ClientLeft, NotFinite: as `Batcher.predict`.
    """
    began = time.perf_counter()
    if model.ranker is None:
        field = "top_k" if ranking.top_k is not None else "abstain"
        raise does_not_fit("body", [Fault.of(f"/{field}", "no-guesses", model=model.where)])
    if ranking.abstain and model.abstention is None:
        raise does_not_fit("body", [Fault.of("/abstain", "no-abstention", model=model.where)])
    encoded: dict[str, Any] = {}
    faults = Faults()
    async for pointer, content in in_turns(contents.items()):
        try:
            encoded[pointer] = await encode_one(batcher.large, model, content)
        except EmptyTicket as error:
            if not ranking.abstain:
                faults.add(Fault.of_error(pointer, error))
        except InvalidContent as error:
            faults.add(Fault.of_error(pointer, error))
    faults.refuse("body")
    context.ids_s = time.perf_counter() - began
    # An empty ticket is not asked about, so those that are have places of their own.
    places = [place for place, pointer in enumerate(contents) if pointer in encoded]
    found = (
        await batcher.predict(model.ranker, list(encoded.values()), context, lambda index: asked(places[index]))
        if encoded
        else []
    )
    answers = dict(zip(encoded, found, strict=True))
    return [shaped(answers.get(pointer, EMPTY), ranking) for pointer in contents]


def shaped(found: Any, ranking: Ranking) -> RankedPrediction:
    """Return an answer with as much in it as was asked for."""
    assert isinstance(found, RankedPrediction), "a ranker answers with guesses; this is our bug"
    assert found.best is not None, "all of them; this is our bug"
    if ranking.abstain and found.reason is not None:
        best = found.best[: ranking.top_k or NUM_GUESSES]
        return msgspec.structs.replace(found, category=None, best=best)
    best_or_none = found.best[: ranking.top_k] if ranking.top_k is not None else None
    return msgspec.structs.replace(found, reason=None, best=best_or_none)
