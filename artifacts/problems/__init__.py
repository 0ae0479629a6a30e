"""What can go wrong, as sentences: a stable type, its parameters, and both languages' words for it.

message.py   a type and its parameters -> title and detail in English or French
page.py      the page that explains a type to a person, from page.en.html and page.fr.html
en/, fr/     the sentences, a file a topic: tickets, files, models, jobs, requests, access, service, settings
"""
