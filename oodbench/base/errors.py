"""The one error that the command line shows without a traceback."""


class InputError(Exception):
    """Something given to oodbench is wrong: a name, a file, an image, a number.

    The message is one or two sentences: what was wrong, the value, what to do.
    """


def reason(error: BaseException) -> str:
    """Returns an exception's type and the first line of its text.

    >>> reason(ValueError("not a number"))
    'ValueError: not a number'
    """
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
