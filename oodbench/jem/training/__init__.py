"""Trains a network on a data set, in a folder that an interrupted run goes on from."""
