"""One network, images and a recipe to training states: losses, accuracies and seconds by epoch."""
