"""The processes behind `puppet-serve`: supervisor, sockets, workers, and the protocol on each connection."""
