"""A datasite as a service of its machine: the files that systemd reads, written and taken away again.

Nothing of it leaves the machine, and none of the files holds a secret.
"""
