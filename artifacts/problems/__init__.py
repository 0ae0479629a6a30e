"""What can go wrong, as sentences: a stable type, its parameters, and both languages' words for it.

    message.py   a type and its parameters -> title and detail in English or French
    phrases.py   the words around problems in a terminal: "error: ...", "3 rows: ..." (phrases.toml)
    en/, fr/     the sentences, a file a topic: tickets, files, models, jobs, requests, settings
"""
