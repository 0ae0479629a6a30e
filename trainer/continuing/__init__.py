"""From a published version on: what is new is learnt on top of what serves."""
