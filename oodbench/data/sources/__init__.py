"""The files of data sets: what is known of them, downloads, checks, archives."""
