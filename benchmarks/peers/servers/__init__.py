"""What a team might serve with in our place, one module each, run as `python -m ... STORE NAME PORT`.

Every one answers POST /search with the body of the seeds and at least `category` and `confidence`, and a GET for
whether it is ready. They run in an environment of their own (.venv-peers), with one thread and no access log.
"""
