"""A model file answered over HTTP: pictures come in, probabilities go out, and no picture is kept, written or logged.

The room needs neither torch nor PySyft: `requirements.txt` beside this file is all that it imports.
"""
