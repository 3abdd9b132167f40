"""JPEG of 12 bits or without loss, as old archives hold it, decoded by numpy: no byte of a file moves a pointer."""
