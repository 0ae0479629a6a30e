"""What can go wrong, as sentences: a stable type, its parameters, and both languages' words for it.

- sentences.py: a type and its parameters -> title and detail in English or French
- phrases.py: the words around problems in a terminal, "error: ...", "3 rows: ..." (phrases.toml)
- page.py: the page that explains a type to a person, from page.en.html and page.fr.html
- en/, fr/: the sentences, a file a topic
"""
