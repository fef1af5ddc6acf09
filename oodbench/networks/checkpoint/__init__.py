"""Files of weights: what they hold, read as data, and put into a module."""
