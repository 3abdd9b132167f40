"""From a store to the batches that a step reads."""
