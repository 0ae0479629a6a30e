"""The answer to POST /predict: one e-mail's text in, its label out, under the names of the first seed document.

    text ─► ids ─► batcher ─► a category, or with a ranking none and the reason ─► PredictAnswer

It asks the model as search/search.py and search/ranked.py do; only the words of the answer are other ones.
"""

from typing import Any

from artifacts.errors import KindMismatch
from artifacts.kinds import KINDS, kind_named
from artifacts.mail.message import Mail
from artifacts.networks.runtime import Model
from artifacts.schemas import Answer
from artifacts.text.tickets import Prediction, RankedPrediction
from inference.schemas import Predict, PredictAnswer
from inference.search.batcher import Batcher
from inference.search.bodies import encode_all
from inference.search.context import AskedInput, RequestContext
from inference.search.ranked import rank, ranking_of


async def label(
    model: Model[Any], body: Predict, mail: Mail | None, batcher: Batcher, context: RequestContext
) -> PredictAnswer:
    """Return the label of one e-mail.

    Args:
        model: that is asked.
        body: whose `email_text` is read.
        mail: from which that text was taken; None if only the text was sent.
        batcher: of the process.
        context: of the request.
    Raises:
        KindMismatch: the model does not read text.
        InvalidInput: the text cannot be read, or the model cannot do what is asked.
        ServerFull, TooLate, ClientLeft, NotFinite: as `Batcher.predict`.
    """
    check_reads_text(model)
    pointer = "/email_text" if mail is None else ""
    content = {pointer: body.email_text}
    asked = AskedInput(body.id, body.email_text)
    ranking = ranking_of(model, body.ranking)
    if ranking is not None:
        (ranked,) = await rank(model, content, ranking, batcher, context, lambda _: asked)
        found: Answer = ranked
    else:
        encoded = await encode_all(batcher.large, model, content)
        (found,) = await batcher.predict(model, encoded, context, lambda _: asked)
    assert isinstance(found, Prediction | RankedPrediction), (
        "a kind that reads text answers with a category; internal error"
    )
    return PredictAnswer(
        found.category,
        found.confidence,
        model.name,
        model.version,
        found.unknown_tokens,
        found.num_truncated_tokens,
        body.id,
        mail.stripped if mail is not None else None,
        *((found.reason, found.best) if isinstance(found, RankedPrediction) else ()),
    )


def check_reads_text(model: Model[Any]) -> None:
    """Raise KindMismatch unless the model reads a text and answers with its category."""
    kind = kind_named(model.manifest.neural_network_type)
    if not kind.reads_text:
        raise KindMismatch(
            "reads-no-text",
            model_name=model.name,
            neural_network_type=kind.name,
            known=[one.name for one in KINDS.values() if one.reads_text],
        )
