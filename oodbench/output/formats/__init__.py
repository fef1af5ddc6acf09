"""Writes tables as text, a file a format.

`table` writes a `Table` and `listing` some rows under a head; `csv` writes all numbers.
"""
