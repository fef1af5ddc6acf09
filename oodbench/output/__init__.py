"""Tables, plots and the HTML report of stored results."""
