"""Graphs of own models, interpreted: every operator is a function of ours, and no line of anybody else's runs."""

from datasites.training.graphs.graph_model import GraphModel
from datasites.training.graphs.own_loss import OwnLoss

__all__ = ["GraphModel", "OwnLoss"]
