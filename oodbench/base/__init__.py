"""What every other folder may use: errors, plug-ins, text, processes."""
