"""What can go wrong, as sentences: a stable type, its parameters, and both languages' words for it.

message.py   a type and its parameters -> title and detail in English or French
en/, fr/     the sentences, a file a topic: tickets, files, models, jobs, requests, settings
"""
