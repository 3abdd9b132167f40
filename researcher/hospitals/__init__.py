"""One hospital or several, as a researcher reaches them: signed, encrypted, and checked before use."""
