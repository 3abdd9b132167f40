"""The run that cannot be killed: one study at several hospitals while links, processes and disks fail under it."""
