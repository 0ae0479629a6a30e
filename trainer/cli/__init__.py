"""The command line of `puppet-train`, a module for each group of commands."""
