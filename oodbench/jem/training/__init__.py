"""Training of a network on a data set, which can continue after an interruption."""
