"""From what was counted of a version's answers to the answer of GET /models/{name}/drift: a verdict, and why.

manifest's profile, counts ─► enough of both? ─► drift_tests.reasons ─► drift | stable
no ─► not_enough_data, and what to wait for
"""

from artifacts.evaluation.profile import Profile
from artifacts.networks.manifest import Manifest
from inference.monitoring.drift import Found
from inference.monitoring.drift_tests import MIN_TICKETS, reasons
from inference.schemas import DriftAnswer, DriftDay, DriftReason, DriftShare, NewWord, Verdict

MAX_WORDS_SHOWN = 20


def judged(manifest: Manifest, found: Found, is_saved: bool) -> DriftAnswer:
    """Return the verdict on what was found of a version.

    Args:
        manifest: of the version.
        found: what was counted of it.
        is_saved: whether that could be written to the disk.
    """
    expected = manifest.profile
    num_expected = expected.num_tickets if expected is not None else 0
    num_tickets = found.profile.num_tickets
    verdict: Verdict = "not_enough_data"
    why: list[DriftReason] = []
    detail = ""
    if expected is None:
        detail = "the version has no profile of its training to compare with; train it again, on text"
    elif num_expected < MIN_TICKETS:
        detail = f"{num_expected} tickets were kept out of the training, a comparison takes {MIN_TICKETS}; send more"
    elif num_tickets < MIN_TICKETS:
        detail = f"{num_tickets} tickets were answered in these days, a comparison takes {MIN_TICKETS}; wait for more"
    else:
        why = reasons(expected, found.profile)
        verdict = "drift" if why else "stable"
    if not is_saved:
        detail += "; " * bool(detail) + "the store cannot be written: a restart and other workers lack these counts"
    often = sorted(found.words.items(), key=lambda pair: (-pair[1], pair[0]))[:MAX_WORDS_SHOWN]
    return DriftAnswer(
        model_name=manifest.name,
        version=manifest.version,
        verdict=verdict,
        detail=detail,
        reasons=why,
        num_tickets=num_tickets,
        num_expected=num_expected,
        shares=shares(expected, found.profile),
        days=[DriftDay(day, num) for day, num in sorted(found.days.items())],
        new_words=[NewWord(word, num) for word, num in often],
    )


def shares(expected: Profile | None, found: Profile) -> list[DriftShare]:
    """Return the share of each category before and now, the most frequent of the training first.

    >>> shares(None, Profile(categories={"bill": 3, "login": 1}, lengths=[4] + [0] * 9))
    [DriftShare(category='bill', expected=None, found=0.75), DriftShare(category='login', expected=None, found=0.25)]
    """
    before = expected if expected is not None else Profile()
    categories = sorted(
        before.categories.keys() | found.categories.keys(),
        key=lambda one: (-before.categories.get(one, 0), -found.categories.get(one, 0), one),
    )
    return [DriftShare(one, _share(before, one), _share(found, one)) for one in categories]


def _share(profile: Profile, category: str) -> float | None:
    return profile.categories.get(category, 0) / profile.num_tickets if profile.num_tickets else None
