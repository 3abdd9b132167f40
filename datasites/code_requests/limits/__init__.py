"""The limits that a hospital sets to code requests, and changes of them that wait for a further person."""
