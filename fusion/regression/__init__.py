"""Indicator table and accuracies to a fusion model: scikit-learn estimators."""
