"""The served model's port: who may ask, how much of a request is taken, and what an answer may say of a failure."""
