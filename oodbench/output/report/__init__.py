"""Writes all stored results to one self-contained HTML file."""
