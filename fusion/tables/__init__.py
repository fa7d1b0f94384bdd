"""The things that all above hand to each other: indicator tables, and accuracies joined with them."""
