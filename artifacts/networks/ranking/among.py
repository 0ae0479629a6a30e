"""Only some of a model's categories may be answered: the others are masked, and the rest is renormalised.

In: what a model holds probable of every category, and the names of those that apply now. Out: an answer among these.
The plain way of a ticket knows nothing of this: it is done to what a `Ranker` has answered.

The idea, once. A caller often knows what an answer cannot be: a queue is closed, a form has already asked for the
product. Given that the right category is among A, the probability of each is, by Bayes' rule,

    p(c | A) = p(c) / sum of p(a) over all a in A        and 0 for what is not in A

which is the softmax over the logits of A alone, so the order of what is left stays as it was. The sum itself says
something too: how probable it is that the right category is among A at all. Where that is less than a half, the rest
has been made large out of next to nothing, and a model that may abstain does (`none_applies`).
"""

# Axes: N tickets, C categories, K of them that may be answered.

from collections.abc import Sequence

import numpy as np

from artifacts.arrays import Doubles, Floats, Longs
from artifacts.errors import Fault
from artifacts.evaluation.abstain import Abstention, why_not
from artifacts.networks.ranking.ranker import Ranked, guesses
from artifacts.system.validation import does_not_fit
from artifacts.text.tickets import RankedPrediction, category_name

MIN_SHARE = 0.5  # of the probability; below it, that none of them applies is the more probable
SMALLEST = float(np.finfo(np.float32).tiny)  # a sum of 0 divides nothing


def kept_of(labels: Sequence[str], among: Sequence[str], where: str, pointer: str = "") -> Longs:
    """Return the numbers of the categories that may be answered, ascending: in the model's own order, each once.

    Args:
        labels: every category of the model, in the order of its output.
        among: names, at least one; compared as those of labelled tickets are.
        where: which model and version, for the refusal.
        pointer: of the object that `among` is a member of.
    Raises:
        InvalidInput: some are not the model's; each with its JSON Pointer.
    """
    number_of = {label: number for number, label in enumerate(labels)}
    names = [category_name(name) for name in among]
    faults = [
        Fault.of(f"{pointer}/among/{place}", "unknown-category", found=name[:100], model=where)
        for place, name in enumerate(names)
        if name not in number_of
    ]
    if faults:
        raise does_not_fit("body", faults[:20], len(faults))
    return np.array(sorted({number_of[name] for name in names}), dtype=np.int64)


def renormalised(probabilities_NC: Floats, kept_K: Longs) -> tuple[Doubles, Doubles]:
    """Return probabilities_NK of the kept categories, each row summing to 1, and shares_N: what they had together."""
    # float64: two float32 that differ still do after the division, so none is exchanged with another.
    rows_NK = probabilities_NC[:, kept_K].astype(np.float64)
    shares_N = rows_NK.sum(axis=1)
    # Where a float32 holds none of them above 0, all are as improbable as each other.
    rows_NK[shares_N < SMALLEST] = 1.0
    return rows_NK / rows_NK.sum(axis=1, keepdims=True), shares_N


def masked(
    found: Sequence[Ranked], kept_K: Longs, labels: Sequence[str], rule: Abstention | None
) -> list[RankedPrediction]:
    """Return the answer to each ticket, at least one, among the kept categories alone.

    Args:
        found: the answers among all.
        kept_K: from `kept_of`.
        labels: every category of the model.
        rule: of the model; None if it cannot tell when to abstain.
    """
    rows_NK, shares_N = renormalised(np.stack([one.probabilities_C for one in found]), kept_K)
    answers = []
    best_N = guesses(rows_NK, [labels[number] for number in kept_K.tolist()])
    for one, share, best in zip(found, shares_N.tolist(), best_N, strict=True):
        first, second = best[0].confidence, best[1].confidence if len(best) > 1 else 0.0
        reason = one.reason
        if rule is not None and reason != "unknown_tokens":  # that one does not depend on what is masked
            reason = "none_applies" if share < MIN_SHARE else why_not(rule, first, second, 0.0)
        answers.append(
            RankedPrediction(
                category=best[0].category,
                confidence=first,
                unknown_tokens=one.unknown_tokens,
                num_truncated_tokens=one.num_truncated_tokens,
                reason=reason,
                best=best,
            )
        )
    return answers
