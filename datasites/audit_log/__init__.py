"""The audit log: a chain of events for the hospital's own auditors. None of it leaves the hospital."""
