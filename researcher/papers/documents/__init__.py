"""The papers themselves, each a function of the same facts: nothing is said in one that another does not know."""
