"""PySyft for a process of tests: without what a datasite leaves out, as its own, and without its warnings.

Whoever imports PySyft first decides how long that takes: this module stands before it.
"""

import warnings

from datasites.pysyft.left_out import left_out

with warnings.catch_warnings(), left_out():  # its imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    import syft  # noqa: F401
