"""The way in: a source's listing becomes a store, by several processes, with a report of what is left out."""
