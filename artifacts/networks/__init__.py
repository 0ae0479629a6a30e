"""From ids to answers: the kinds of network on the serving side, and the records of a version. Part of the core."""
