"""Simulation: a study's plan over made-up hospitals that share one data set of the researcher's. It protects nobody.

Trainer, strategies and accountant are the real ones. What is missing is all that makes a hospital one: its people, its
ledger, its sandbox, its certificate and noise that nobody can foresee, as a simulation's follows from a seed.
"""
