"""Judgements of models on public test data: scores with intervals, calibration, comparison, speed."""
