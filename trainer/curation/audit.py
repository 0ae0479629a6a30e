"""What is wrong with labelled tickets, before anything is trained on them: likely wrong categories and plain faults.

In: checked rows (tickets.py). Out: rows to look at with the reasons, categories to look at, and a few counts. Nothing
is changed, and nothing here imports torch. What it leaves to others: reading and showing (inspection.py).

Wrong categories: the idea. A model that has learnt from a wrong ticket repeats its category and finds nothing wrong, so
each ticket is asked about of a model that has not seen it: the tickets are cut into 5 folds, and each fold is answered
by the linear part (linear.py) that learnt from the other four. What that model says of a ticket's own category is the
ticket's self-confidence; the lowest come first. How many of them are wrong is estimated by confident learning: a ticket
counts as wrong if another category k is more probable than k usually is for the tickets that are k,
    p(k) >= mean of p(k) over the tickets under k,
and of several such categories the most probable one is not its own. The number is taken from there and the order from
the self-confidence, which together found more of the errors than either alone (docs/LOG.md).
Source: Northcutt, Jiang and Chuang 2021, "Confident Learning", arXiv 1911.00068.

All of this believes that the categories follow from the texts. Where they do not (signal.py), nearly every ticket would
be called wrong; then none is, none has a score, and no categories are called confused.
"""

# Axes: N tickets, B of them worked on at once, C categories, F folds, M tickets of a test file, G hashed
#       pieces of text.

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import msgspec
import numpy as np
from scipy import sparse

from artifacts.text.tickets import read_tokens
from artifacts.text.tokens import is_code, split
from artifacts.text.vocabulary import masked
from trainer.curation.folds import NUM_FOLDS, Floats, Ints, assign, blocks, out_of_fold
from trainer.curation.signal import Signal, signal_of
from trainer.data.tickets import MIN_WORDS, Rows, alike, cut_short, near_empty_rows

# Distinct tickets of a category: with 8 each banking77 is at .72, with 130 at .93 (README); and what 10 % of fewer than
# ten validate is less than a ticket.
SMALL_CATEGORY = 10
# Categories are proposed to be merged if so large a share of the smaller one's tickets is confused with the other, in
# every fold and in both directions: luck is not so steady.
MERGE_SHARE = 0.1
NEAR = 0.8  # Jaccard similarity of near duplicates, as in Lee et al. 2022, "Deduplicating Training Data"
PIECE, NUM_PIECES = 5, 2**18  # letters of a hashed piece of text, and the rows that pieces are hashed to
CHUNK = 256  # test tickets that are compared at once; bounds the memory to CHUNK x N similarities

# Masks of the same thing in English, French and the abbreviations of common tools; the first is what text.py writes.
SAME = (
    ("<COMPANY>", "<ENTREPRISE>", "<SOCIETE>", "<ORGANISATION>", "<ORGANIZATION>", "<ORG>"),
    ("<NAME>", "<NOM>", "<PERSON>", "<PERSONNE>", "<PER>"),
    ("<EMAIL>", "<MAIL>", "<COURRIEL>", "<E_MAIL>"),
    ("<PHONE>", "<TEL>", "<TELEPHONE>", "<PHONE_NUMBER>"),
    ("<PRODUCT>", "<PRODUIT>"),
    ("<NUM>", "<NUMBER>", "<NOMBRE>", "<NUMERO>"),
    ("<URL>", "<LINK>", "<LIEN>"),
    ("<ADDRESS>", "<ADRESSE>"),
    ("<CITY>", "<VILLE>"),
)
_CARD = re.compile(r"(?<![\w+])\d(?:[ -]?\d){12,18}(?!\w)")
_NAME = r"(?-i:[A-ZÀ-ÖØ-Þ][\w'’-]+)"
# A capital after words that a name follows; by itself a capital is mostly a place or a product (docs/LOG.md).
_NAMED = re.compile(
    r"\b(?:m\.|mr\.?|mme\.?|mrs\.?|ms\.?|mlle|monsieur|madame|dear|my name is|je m['’]appelle|cordialement,?"
    rf"|regards,?)\s+(?P<name>{_NAME})",
    re.IGNORECASE,
)


class Suspect(msgspec.Struct, frozen=True):
    """A ticket that someone should look at.

    Attributes:
        row: its number in the data, counted from 0.
        suggested: the category that the others suggest, if it is another than its own.
        score: self-confidence, 0..1: how probable its category is to a model that has not seen it; None if no such
            model knows the category.
        reasons: why, in words; never the ticket's.
        is_mislabelled: whether its category is probably wrong.
    """

    row: int
    suggested: str | None
    score: float | None
    reasons: list[str]
    is_mislabelled: bool = False


class Merge(msgspec.Struct, frozen=True):
    """Two categories that are taken for each other.

    Attributes:
        of_folds: confused tickets in each fold, in both directions.
        share: of the tickets of the smaller category.
    """

    first: str
    second: str
    of_folds: list[int]
    share: float


class Leak(msgspec.Struct, frozen=True):
    """A test ticket that a training ticket gives away; rows counted from 0."""

    test_row: int
    train_row: int
    similarity: float
    same_category: bool


class Audit(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        labels_follow_text: whether the text tells the categories; False: no ticket is accused. None: too few tickets.
        signal: how well it tells them, next to what needs no text.
        num_duplicates: tickets that repeat an earlier one, category included.
        num_conflicts: distinct tickets that stand under more than one category.
        num_near_empty: tickets of fewer than two words.
        num_cut, num_alike: tickets of more tokens than are read, and those of them that look the same up to there.
        num_mislabelled: tickets whose category is probably wrong, by confident learning.
        num_personal: kind of personal data -> tickets that hold it.
        small_categories: category -> its distinct tickets, fewer than ten.
        merges: the most confused first.
        aliases: what to set so that placeholders of the same thing are one; empty if there are none.
        suspects: tickets with a reason, the least probable category first, those without a score last.
        ranking: the number of every ticket that has a score, the lowest score first.
        leaks: the most alike first.
        names: words that look like names -> tickets in which they do, the most frequent first.
    """

    labels_follow_text: bool | None
    signal: Signal
    num_tickets: int
    num_categories: int
    num_duplicates: int
    num_conflicts: int
    num_near_empty: int
    num_mislabelled: int
    num_personal: dict[str, int]
    small_categories: dict[str, int]
    merges: list[Merge]
    aliases: str
    suspects: list[Suspect]
    ranking: list[int]
    leaks: list[Leak] = []
    names: dict[str, int] = {}
    num_cut: int = 0
    num_alike: int = 0


def audit(rows: Rows, processes: int = 1, seed: int = 0) -> Audit:
    """Return what is to be looked at in the tickets; 74 s of processor time for 25,000 tickets in 91 categories.

    Args:
        rows: at least two categories.
        processes: that may learn at once.
        seed: of the folds; the same rows and seed give the same answer.
    """
    labels = sorted(rows.categories)
    label_of = {category: label for label, category in enumerate(labels)}
    given_N = np.array([label_of[ticket.expected] for ticket in rows.tickets])
    folds_N = assign(rows, given_N, seed)
    probabilities_NC = out_of_fold(rows, given_N, folds_N, len(labels), processes)
    signal = signal_of(rows, labels, given_N, probabilities_NC, folds_N)
    if signal.labels_follow_text is False:
        folds_N = np.full_like(folds_N, -1)  # its model knows nothing of the categories, so no ticket is judged by it
    judged_N = np.flatnonzero(folds_N >= 0)
    wrong = set(judged_N[mislabelled(probabilities_NC[judged_N], given_N[judged_N])].tolist())
    ranking = ranked(probabilities_NC, given_N, judged_N)
    best_N = probabilities_NC.argmax(axis=1)

    reasons: defaultdict[int, list[str]] = defaultdict(list)
    for row in wrong:
        reasons[row].append("probably another category")
    near_empty, repeats, conflicts = near_empty_rows(rows), repeated(rows), conflicting(rows)
    words = lower_words(rows)
    personal = [personal_kinds(ticket.content, words) for ticket in rows.tickets]
    for row, others in conflicts.items():
        reasons[row].append(f"the same ticket is also under {', '.join(others)}")
    for row, first in repeats.items():
        reasons[row].append(f"repeats {rows.place(first)}")
    for row in near_empty:
        reasons[row].append(f"fewer than {MIN_WORDS} words")
    for row, kinds in enumerate(personal):
        reasons[row] += [f"holds {kind}" for kind in kinds]

    def suspect(row: int) -> Suspect:
        if folds_N[row] < 0:
            return Suspect(row, None, None, reasons[row])
        suggested = labels[best_N[row]] if best_N[row] != given_N[row] else None
        return Suspect(row, suggested, float(probabilities_NC[row, given_N[row]]), reasons[row], row in wrong)

    unscored = np.flatnonzero(folds_N < 0).tolist()
    num_cut, num_alike = cut_short(rows)
    small = sorted((count, category) for category, count in rows.distinct.items() if count < SMALL_CATEGORY)
    return Audit(
        labels_follow_text=signal.labels_follow_text,
        signal=signal,
        num_tickets=len(rows.tickets),
        num_categories=len(labels),
        num_duplicates=rows.num_duplicates,
        num_conflicts=rows.num_conflicts,
        num_near_empty=len(near_empty),
        num_mislabelled=len(wrong),
        num_personal=dict(Counter(kind for kinds in personal for kind in kinds)),
        small_categories={category: count for count, category in small},
        merges=merges(best_N, given_N, folds_N, labels),
        aliases=proposed_aliases(rows),
        suspects=[suspect(row) for row in (*ranking, *unscored) if reasons.get(row)],
        ranking=ranking,
        num_cut=num_cut,
        num_alike=num_alike,
    )


def mislabelled(probabilities_NC: Floats, given_N: Ints) -> Ints:
    """Return the numbers of the tickets whose category is probably wrong, the least probable first.

    As many as confident learning counts, of those whose own category is not the most probable.

    Args:
        probabilities_NC: out of fold.
        given_N: the label of each.
    """
    if not len(given_N):
        return np.empty(0, dtype=np.int64)
    own_N = probabilities_NC[np.arange(len(given_N)), given_N]
    sums_C = np.bincount(given_N, weights=own_N, minlength=probabilities_NC.shape[1])
    counts_C = np.bincount(given_N, minlength=probabilities_NC.shape[1])
    # A category that no judged ticket has is never above its threshold.
    usual_C = np.where(counts_C > 0, sums_C / np.maximum(counts_C, 1), np.inf)
    num_wrong = 0
    for rows_B in blocks(np.arange(len(given_N)), probabilities_NC.shape[1]):
        above_BC = np.where(probabilities_NC[rows_B] >= usual_C, probabilities_NC[rows_B], -1.0)
        num_wrong += int(((above_BC.max(axis=1) >= 0) & (above_BC.argmax(axis=1) != given_N[rows_B])).sum())
    disputed_N = np.flatnonzero(probabilities_NC.argmax(axis=1) != given_N)
    found: Ints = disputed_N[np.argsort(own_N[disputed_N], kind="stable")][:num_wrong]
    return found


def ranked(probabilities_NC: Floats, given_N: Ints, judged_N: Ints) -> list[int]:
    """Return the numbers of the judged tickets, the lowest self-confidence first."""
    own_N = probabilities_NC[judged_N, given_N[judged_N]]
    found: list[int] = judged_N[np.argsort(own_N, kind="stable")].tolist()
    return found


def merges(best_N: Ints, given_N: Ints, folds_N: Ints, labels: Sequence[str]) -> list[Merge]:
    """Return the pairs of categories that are steadily taken for each other, the most confused first.

    Args:
        best_N: the most probable label of each ticket, out of fold.
        given_N: its own.
        folds_N: its fold; -1: not judged.
        labels: the names.
    """
    of_pair: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [0] * NUM_FOLDS)
    directed: Counter[tuple[int, int]] = Counter()
    for row in np.flatnonzero((folds_N >= 0) & (best_N != given_N)).tolist():
        given, said = int(given_N[row]), int(best_N[row])
        of_pair[min(given, said), max(given, said)][folds_N[row]] += 1
        directed[given, said] += 1
    counts_C = np.bincount(given_N, minlength=len(labels))
    found = [
        Merge(labels[a], labels[b], of_folds, sum(of_folds) / int(min(counts_C[a], counts_C[b])))
        for (a, b), of_folds in of_pair.items()
        if min(of_folds) and directed[a, b] and directed[b, a]
    ]
    return sorted((one for one in found if one.share >= MERGE_SHARE), key=lambda one: (-one.share, one.first))


def repeated(rows: Rows) -> dict[int, int]:
    """Return row -> the first row with the same ticket under the same category."""
    found: dict[int, int] = {}
    for group in alike(rows.tickets, rows.tokens):
        first: dict[str, int] = {}
        found |= {row: at for row in group if (at := first.setdefault(rows.tickets[row].expected, row)) != row}
    return found


def conflicting(rows: Rows) -> dict[int, list[str]]:
    """Return row -> the other categories that the same ticket stands under."""
    found: dict[int, list[str]] = {}
    for group in alike(rows.tickets, rows.tokens):
        categories = {rows.tickets[row].expected for row in group}
        if len(categories) > 1:
            found |= {row: sorted(categories - {rows.tickets[row].expected}) for row in group}
    return found


def lower_words(rows: Rows) -> set[str]:
    """Return the words that stand in lower case in the raw texts; a capital does not make a name of these."""
    return {
        word
        for ticket in rows.tickets
        if isinstance(ticket.content, str)
        for word in re.findall(r"[\w'’-]+", ticket.content)
        if word.islower()
    }


def personal_kinds(content: Sequence[str] | str, words: AbstractSet[str] = frozenset()) -> list[str]:
    """Return which personal data a ticket seems to hold: it is found by its form alone, so some is missed.

    >>> personal_kinds("Bonjour, je suis Mme Durand, ma carte est 4111 1111 1111 1111")
    ['a card number', 'a name']
    >>> personal_kinds(["rappeler", "06", "12", "34", "56", "78"])
    ['a phone number']

    Args:
        content: tokens or raw text; names are looked for in raw text only.
        words: in lower case, that are no names.
    """
    text = content if isinstance(content, str) else " ".join(content)
    kinds = []
    read = split(text)
    for mask, kind in (("<EMAIL>", "an e-mail address"), ("<PHONE>", "a phone number"), ("<IBAN>", "an IBAN")):
        if read.count(mask) > text.count(mask):  # a mask that stands there already is no leak
            kinds.append(kind)
    if any(is_card_number(match.group()) for match in _CARD.finditer(text)):
        kinds.append("a card number")
    if isinstance(content, str) and any(found["name"].lower() not in words for found in _NAMED.finditer(text)):
        kinds.append("a name")
    return kinds


def is_card_number(digits: str) -> bool:
    """Return whether the check digit is right (Luhn, ISO/IEC 7812-1), which one number of ten is by chance.

    >>> is_card_number("4111 1111 1111 1111"), is_card_number("4111 1111 1111 1112")
    (True, False)
    """
    numbers = [int(digit) for digit in reversed(digits) if digit.isdigit()]
    doubled = [sum(divmod(2 * number, 10)) for number in numbers[1::2]]
    return (sum(numbers[::2]) + sum(doubled)) % 10 == 0


def proposed_aliases(rows: Rows) -> str:
    """Return the setting `aliases` that makes one of the placeholders that mean the same; empty if there are none.

    Of each group the one stays that text.py writes itself, or else the most frequent.
    """
    held: Counter[str] = Counter(token for tokens in rows.tokens for token in set(tokens) if token[0] == "<")
    words = []
    for group in SAME:
        found = [name for name in group if held[name]]
        kept = group[0] if group[0] in ("<EMAIL>", "<PHONE>", "<NUM>", "<URL>") else max(group, key=held.__getitem__)
        words += [f"{name}={kept}" for name in found if name != kept and held[kept]]
    return ",".join(words)


def leaks(train: Rows, test: Rows) -> list[Leak]:
    """Return the test tickets that are equal or nearly equal to a training ticket, the most alike first.

    Alike is what shares pieces of five letters: the pieces that both have, over those that either has (Jaccard). What
    is shorter than five letters is found only if it is equal. Each test ticket is compared with all of training by a
    product of sparse matrices, a few hundred at a time.
    """
    first: dict[tuple[str, ...], int] = {}
    for row, tokens in enumerate(train.tokens):
        first.setdefault(tuple(tokens), row)
    # Which short numbers are told apart is for the training tickets to say, so the test tickets are read by theirs.
    codes = {token for tokens in train.tokens for token in tokens if is_code(token)}
    tested = [masked(read_tokens(ticket.content), codes) for ticket in test.tickets]
    found = []
    asked = []
    for row, tokens in enumerate(tested):
        if (at := first.get(tuple(tokens))) is not None:
            found.append(_leak(train, test, row, at, 1.0))
        else:
            asked.append(row)
    if not asked:
        return found
    pieces_NG, pieces_MG = _pieces(train.tokens), _pieces([tested[row] for row in asked])
    turned_GN = pieces_NG.T.tocsr()
    sizes_N, sizes_M = (np.asarray(one.sum(axis=1)).ravel() for one in (pieces_NG, pieces_MG))
    for start in range(0, len(asked), CHUNK):
        shared = (pieces_MG[start : start + CHUNK] @ turned_GN).tocoo()
        similarity = shared.data / (sizes_M[start + shared.row] + sizes_N[shared.col] - shared.data)
        best: dict[int, tuple[float, int]] = {}
        for at in np.flatnonzero(similarity >= NEAR).tolist():
            one = float(similarity[at]), -int(shared.col[at])
            best[int(shared.row[at])] = max(one, best.get(int(shared.row[at]), one))
        found += [_leak(train, test, asked[start + at], -row, value) for at, (value, row) in best.items()]
    return sorted(found, key=lambda one: (-one.similarity, one.test_row))


def _leak(train: Rows, test: Rows, test_row: int, train_row: int, similarity: float) -> Leak:
    same = test.tickets[test_row].expected == train.tickets[train_row].expected
    return Leak(test_row, train_row, round(similarity, 3), same)


def _pieces(tickets: Sequence[Sequence[str]]) -> sparse.csr_matrix:
    """Return which pieces of five letters each ticket holds, 1 or 0, as a matrix of hashed pieces."""
    from sklearn.feature_extraction.text import HashingVectorizer  # a second to import

    vectorizer = HashingVectorizer(
        analyzer="char", ngram_range=(PIECE, PIECE), n_features=NUM_PIECES, binary=True, norm=None,
        alternate_sign=False, lowercase=False, dtype=np.float32,
    )  # fmt: skip
    return vectorizer.transform(" ".join(tokens) for tokens in tickets)
