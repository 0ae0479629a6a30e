"""`python -m trainer`, the same as `puppet-train`."""

from trainer.cli.main import main

if __name__ == "__main__":
    main()
