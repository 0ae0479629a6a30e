"""Une solution de l’exercice."""

WROTE = ("wrote:", "a écrit :")  # la fin d’une ligne qui introduit une citation
SIGNATURE = "-- "  # la ligne entière, avec son espace


def own_lines(text: str) -> list[str]:
    """Renvoie les lignes que l’auteur a écrites, dans l’ordre, sans les lignes vides."""
    kept: list[str] = []
    in_quote = False
    for line in text.split("\n"):
        if line == SIGNATURE:
            break
        if line.startswith(">"):
            if not in_quote and kept and kept[-1].endswith(WROTE):  # l’on sait enfin ce qu’elle introduisait
                kept.pop()
            in_quote = True
            continue  # la réponse est peut-être au-dessous
        if line.strip():
            kept.append(line)
            in_quote = False
    return kept
