"""The types of the arrays that the packages pass on, each a dtype; axes are letters at the end of a variable's name."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]  # what a network answers: its weights are float32, more digits would be made up
Doubles = NDArray[np.float64]  # where sums over many rows, or amounts of money, need more than 7 digits
Ints = NDArray[np.int32]  # ids: half the bytes of int64, and no vocabulary has 2**31 words
Longs = NDArray[np.int64]  # what NumPy counts and indexes with
Flags = NDArray[np.bool_]
