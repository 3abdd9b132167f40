"""Picture files of any kind, read by one public rule: at a hospital, in a hold-out, in evaluation and in serving.

The room knows no labels, no patients and no store. `decode` is the only way from a file to an array.
"""
