"""From text to ids: tokens, the vocabulary, and the ticket that holds them. Part of the core: read this first."""
