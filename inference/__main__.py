"""`python -m inference`, the same as `puppet-serve`."""

from inference.server.cli import main

if __name__ == "__main__":
    main()
