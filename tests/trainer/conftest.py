"""What the tests of the trainer share."""

import os

# Before anything imports torch, here or in a child. On networks this small a second thread gains nothing, and where
# other programs want the cores too its waiting at OpenMP's barriers makes a step tens of times as long.
os.environ["OMP_NUM_THREADS"] = "1"
