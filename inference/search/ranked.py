"""The answer to a search that asks for more than a category, for one of some, or lets the model abstain.

    contents -> ids -> batcher, with the model's ranker -> among those that may be answered -> what was asked for

In: what is asked about, and of a ranking. Out: a category, or none and the reason, with the best guesses beside. What
it leaves to others: when a model is sure enough (artifacts/evaluation/abstain.py), how categories are masked
(artifacts/networks/ranking/among.py), plain searches (search.py).

Masking comes after the batch, so searches that name other categories, or none, share their runs; and drift and review
go on seeing what the model itself holds probable.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from artifacts.arrays import Longs
from artifacts.errors import EmptyTicket, Fault, InvalidContent
from artifacts.networks.ranking.among import kept_of, masked
from artifacts.networks.ranking.ranker import Ranked
from artifacts.networks.runtime import Model
from artifacts.schemas import Ranking
from artifacts.system.validation import does_not_fit
from artifacts.text.tickets import RankedPrediction
from inference.search.batcher import Batcher
from inference.search.bodies import SLICE_TICKETS, Faults, encode_one, in_turns
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
    by_default = model.abstention is not None and model.abstention.by_default
    if asked is None:
        return Ranking(abstain=True) if by_default else None
    if asked.abstain is not None:
        return asked
    # Whoever says what to answer where the model is not sure enough lets it not be.
    return msgspec.structs.replace(asked, abstain=by_default or asked.otherwise is not None)


def kept_asked(model: Model[Any], ranking: Ranking, where: str = "") -> Longs | None:
    """Return the numbers of the categories that may be answered, if the model can do what is asked; None: of all.

    Args:
        model: that is asked.
        ranking: from `ranking_of`.
        where: JSON Pointer of the object whose members ask for it.
    Raises:
        InvalidInput: it cannot, or has no such category.
    """
    if model.ranker is None:
        asked = msgspec.structs.asdict(ranking)
        field = next(field for field in ("top_k", "among", "otherwise", "abstain") if asked[field] is not None)
        raise does_not_fit("body", [Fault.of(f"{where}/{field}", "no-guesses", model=model.where)])
    if ranking.otherwise is not None and not ranking.abstain:
        raise does_not_fit("body", [Fault.of(f"{where}/otherwise", "otherwise-without-abstain")])
    if ranking.abstain and model.abstention is None:
        field = "otherwise" if ranking.otherwise is not None else "abstain"
        raise does_not_fit("body", [Fault.of(f"{where}/{field}", "no-abstention", model=model.where)])
    return kept_of(model.ranker.labels, ranking.among, model.where, where) if ranking.among is not None else None


async def rank(
    model: Model[Any],
    contents: dict[str, Any],
    ranking: Ranking,
    batcher: Batcher,
    context: RequestContext,
    asked: Callable[[int], AskedInput | None] = lambda _: None,
) -> list[RankedPrediction]:
    """Return the answer to each input, in order; see `guessed`.

    Raises:
        InvalidInput: inputs cannot be read, or the model cannot do what is asked.
        ServerFull, TooLate, ClientLeft, NotFinite: as `Batcher.predict`.
    """
    kept_K = kept_asked(model, ranking)  # first, so that a refusal costs nothing
    found = await guessed(model, contents, ranking, batcher, context, asked)
    return await shaped_all(found, kept_K, ranking, model)


async def guessed(
    model: Model[Any],
    contents: dict[str, Any],
    ranking: Ranking,
    batcher: Batcher,
    context: RequestContext,
    asked: Callable[[int], AskedInput | None] = lambda _: None,
) -> list[Ranked | None]:
    """Return all that the model knows of each input, in order; None of an empty ticket, where it may abstain.

    Args:
        model: that is asked; it has a ranker.
        contents: JSON Pointer -> input.
        ranking: from `ranking_of`.
        batcher: of the process.
        context: learns how long each stage took.
        asked: returns an input as it was sent, by its place in `contents`.
    Raises:
        InvalidInput: inputs cannot be read.
        ServerFull, TooLate, ClientLeft, NotFinite: as `Batcher.predict`.
    """
    began = time.perf_counter()
    assert model.ranker is not None, "kept_asked has seen to that; internal error"
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
    found: Sequence[Any] = ()
    if encoded:
        found = await batcher.predict(model.ranker, list(encoded.values()), context, lambda index: asked(places[index]))
    assert all(isinstance(one, Ranked) for one in found), "a ranker answers with all that it knows; internal error"
    answers = dict(zip(encoded, found, strict=True))
    return [answers.get(pointer) for pointer in contents]


async def shaped_all(
    found: Sequence[Ranked | None], kept_K: Longs | None, ranking: Ranking, model: Model[Any]
) -> list[RankedPrediction]:
    """Return answers among the categories that may be answered, with as much in them as was asked for; in turns.

    Args:
        found: from `guessed`.
        kept_K: from `kept_asked`.
        ranking: from `ranking_of`.
        model: that has answered.
    """
    assert model.ranker is not None, "it has answered; internal error"
    answers: list[RankedPrediction] = []
    for start in range(0, len(found), SLICE_TICKETS):
        if start:
            await asyncio.sleep(0)
        slice_ = found[start : start + SLICE_TICKETS]
        some = [one for one in slice_ if one is not None]
        rest: Iterator[RankedPrediction] = iter(some)
        if kept_K is not None and some:
            rest = iter(masked(some, kept_K, model.ranker.labels, model.abstention))
        answers += [shaped(EMPTY if one is None else next(rest), ranking) for one in slice_]
    return answers


def shaped(found: RankedPrediction, ranking: Ranking) -> RankedPrediction:
    """Return an answer with as much in it as was asked for."""
    assert found.best is not None, "all of them; internal error"
    abstains = ranking.abstain and found.reason is not None
    num_best = ranking.top_k or (NUM_GUESSES if abstains else None)
    return RankedPrediction(
        category=ranking.otherwise if abstains else found.category,
        confidence=found.confidence,
        unknown_tokens=found.unknown_tokens,
        num_truncated_tokens=found.num_truncated_tokens,
        reason=found.reason if abstains else None,
        best=found.best[:num_best] if num_best is not None else None,
    )
