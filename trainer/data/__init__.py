"""From files to checked rows, and what is wrong with them."""
