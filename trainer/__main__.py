"""`python -m trainer`, the same as `puppet-train`."""

from trainer.cli import main

if __name__ == "__main__":
    main()
