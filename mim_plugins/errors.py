"""The one exception for input that a user can put right."""


class InputError(ValueError):
    """A setting, path or file does not fit.

    The message is a single line that names what was expected and what came, so that the command-line
    tools can show it without a traceback.
    """
