"""Whether somebody sits in front of the notebook that runs."""

from __future__ import annotations


def is_live() -> bool:
    """Tell whether this cell was sent by a front end in which somebody can answer.

    Every request to run a cell says whether `input` may ask something. JupyterLab, VS Code, Colab
    and Kaggle say yes; nbclient, nbval, papermill and nbconvert, where nobody waits, say no.
    Environment variables would not tell: a notebook's own children inherit them.

    Returns:
        False outside a notebook as well.

    >>> is_live()
    False
    """
    from IPython import get_ipython

    request = getattr(get_ipython(), "parent_header", {})  # the whole message, not its header alone
    return bool(request.get("content", {}).get("allow_stdin"))
