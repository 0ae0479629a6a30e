"""The page for people without a terminal: its files, as a browser reads them, and the routes that serve them."""
