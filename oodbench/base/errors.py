"""The one error that the command line shows without a traceback."""


class InputError(Exception):
    """Something given to oodbench is wrong: a name, a file, an image, a number.

    The message is one or two sentences: what was wrong, the value, what to do.
    """
