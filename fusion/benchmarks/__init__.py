"""Measured accuracies: benchmark archives, plain tables, or trained here."""
