"""The two sets of tickets of the seven steps, both invented.

`tickets.jsonl` is what `puppet-train sample --num-tickets 1500` writes: one word of it often gives the category away.
`order.jsonl` is made here so that no word does: each ticket speaks of two subjects, what is asked for and what it
follows from, and only the order says which is which. A model that counts words is right on about half of them.
"""

import json
import random
from pathlib import Path

NUM_TICKETS, NUM_ORDER = 1500, 900

# Four subjects, three words for each; a ticket names two of them.
SUBJECTS = {
    "Facturation": ("facture", "avoir", "échéancier"),
    "Connexion": ("connexion", "login", "identifiant"),
    "Export": ("export", "fichier", "tableau"),
    "Signature": ("signature", "signer", "certificat"),
}
LINKS = ("suite", "depuis", "après")  # what stands after one of these is the cause, not the request
SMALL_TALK = ("bonjour", "merci", "client", "dossier", "urgent", "toujours", "nouveau", "problème", "appeler", "rappel")


def order_tickets(num_tickets: int = NUM_ORDER, seed: int = 0) -> list[dict[str, object]]:
    """Return tickets of the form: request ... link ... cause, with small talk in between."""
    # Only `random()` is called: its sequence is promised to stay the same in all versions of Python.
    chance = random.Random(seed).random  # noqa: S311  (invented tickets, not secrets)

    def one_of(values: tuple[str, ...]) -> str:
        return values[int(chance() * len(values))]

    def talk(least: int) -> list[str]:
        return [one_of(SMALL_TALK) for _ in range(least + int(chance() * 3))]

    rows: list[dict[str, object]] = []
    for _ in range(num_tickets):
        category = one_of(tuple(SUBJECTS))
        cause = one_of(tuple(name for name in SUBJECTS if name != category))
        # At least one word of small talk stands on either side of the link, so that no pair of neighbours tells either.
        request = [*talk(0), one_of(SUBJECTS[category]), *talk(1)]
        tokens = [*request, one_of(LINKS), *talk(1), one_of(SUBJECTS[cause]), *talk(0)]
        rows.append({"category": category, "tokens": tokens})
    return rows


def write(folder: Path) -> None:
    """Write both sets to `folder`, unless they are there."""
    from trainer.cli.sample import write_tickets  # imported here: the set of word order needs nothing of the product

    if not (tickets := folder / "tickets.jsonl").exists():
        write_tickets(tickets, NUM_TICKETS, seed=0)
    if not (order := folder / "order.jsonl").exists():
        order.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in order_tickets()), "utf-8")
