"""Predictions and accuracies to metrics, protocols, figures and a report."""
