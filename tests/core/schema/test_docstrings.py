"""Docstrings as people write them, in three styles, taken apart."""

import inspect
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.schema.docstrings import parse_docstring

GOOGLE = """Fetches rows from a Smalltable.

    Retrieves rows pertaining to the given keys from the Table instance.
    String keys will be UTF-8 encoded.

    Args:
        table_handle: An open smalltable.Table instance.
        keys: A sequence of strings representing the key of each table
          row to fetch.  String keys will be UTF-8 encoded.
        require_all_keys (bool): If True only rows with values set for all keys will be
            returned.

            A second paragraph: with a colon.
        **kwargs: Passed on.

    Returns:
        A dict mapping keys to the corresponding table row data
        fetched. For example:

        {b'Serak': ('Rigel VII', 'Preparer')}

    Raises:
        IOError: An error occurred accessing the smalltable.
    """
NUMPY = """
    Return evenly spaced numbers over a specified interval.

    Returns `num` evenly spaced samples.

    Parameters
    ----------
    start : array_like
        The starting value of the sequence.
    stop, end : array_like, optional
        The end value of the sequence, unless `endpoint` is set to False.
        In that case, less.
    num
        Number of samples to generate.
    *args
        More.

    Other Parameters
    ----------------
    axis : {0, 1}
        The axis in the result.

    Returns
    -------
    samples : ndarray
        There are `num` equally spaced samples.

    See Also
    --------
    arange : Similar to `linspace`.
    """
REST = """Send a request.

    The body is text.

    :param url: Where to, as a
        whole URL.
    :type url: str
    :param int timeout: In seconds.
    :param \\*\\*more: Passed on.
    :keyword retries: How often.
    :param nothing:
    :returns: What came.
    :rtype: Response
    :raises ValueError: If it is no URL.
    """
TABLE = {
    "google": (
        GOOGLE,
        (
            "Fetches rows from a Smalltable.\n\nRetrieves rows pertaining to the given keys from the Table instance.\n"
            "String keys will be UTF-8 encoded."
        ),
        {
            "table_handle": "An open smalltable.Table instance.",
            "keys": "A sequence of strings representing the key of each table row to fetch. "
            "String keys will be UTF-8 encoded.",
            "require_all_keys": "If True only rows with values set for all keys will be returned. "
            "A second paragraph: with a colon.",
            "kwargs": "Passed on.",
        },
    ),
    "numpy": (
        NUMPY,
        "Return evenly spaced numbers over a specified interval.\n\nReturns `num` evenly spaced samples.",
        {
            "start": "The starting value of the sequence.",
            "stop": "The end value of the sequence, unless `endpoint` is set to False. In that case, less.",
            "end": "The end value of the sequence, unless `endpoint` is set to False. In that case, less.",
            "num": "Number of samples to generate.",
            "args": "More.",
            "axis": "The axis in the result.",
        },
    ),
    "rest": (
        REST,
        "Send a request.\n\nThe body is text.",
        {"url": "Where to, as a whole URL.", "timeout": "In seconds.", "more": "Passed on.", "retries": "How often."},
    ),
    "no sections": ("Only this:\n    and that.", "Only this:\nand that.", {}),
    "none": (None, "", {}),
    "empty": ("", "", {}),
    "blank": ("\n   \n", "", {}),
    "sections only": ("\nArgs:\n    a: First.\n", "", {"a": "First."}),
    "google with types that have brackets": (
        "F.\n\nArgs:\n  a (dict(str, int), optional): First.\n  b (Callable[[int], str]): Second.",
        "F.",
        {"a": "First.", "b": "Second."},
    ),
    "google, text below": ("F.\n\nArgs:\n  a:\n    First.\n  b: Second.", "F.", {"a": "First.", "b": "Second."}),
    "google attributes": ("A class.\n\nAttributes:\n    x: The x.", "A class.", {"x": "The x."}),
    "two google sections": (
        "F.\n\nArgs:\n    a: A.\n\nKeyword Args:\n    b: B.\n\nExamples:\n    c: not one.",
        "F.",
        {"a": "A.", "b": "B."},
    ),
    "a header without a list is text": ("Arguments:\nnone at all", "Arguments:\nnone at all", {}),
    "a header at the end is text": ("F.\n\nArgs:", "F.\n\nArgs:", {}),
    "a header in a sentence is text": ("Returns: what it is.", "Returns: what it is.", {}),
    "another word before a list is text": ("\nSteps:\n    one: begin", "Steps:\n    one: begin", {}),
    "another underlined word is text": ("Title\n-----\nText.", "Title\n-----\nText.", {}),
    "numpy without anything below": ("F.\n\nParameters\n----------", "F.", {}),
    "numpy with equals signs": ("F.\n\nParameters\n==========\na : int\n    First.", "F.", {"a": "First."}),
    "another field is text": ("F.\n\n:meta private:", "F.\n\n:meta private:", {}),
    "rest with text after the fields": ("F.\n\n:param a: A.\n\nThe end.", "F.", {"a": "A."}),
    "rest without a name": ("F.\n\n:param: A.", "F.", {}),
    "the first of two counts": ("F.\n\nArgs:\n    a: One.\n\nAttributes:\n    a: Two.", "F.", {"a": "One."}),
    "words before the first entry are nobody's": ("F.\n\nArgs:\n    As follows\n    a: A.", "F.", {"a": "A."}),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_a_docstring_is_taken_apart(case):
    """The text before the sections, and what is said of each name, in one line."""
    docstring, text, names = TABLE[case]
    assert parse_docstring(docstring) == (text, names)


@pytest.mark.parametrize("function", [json.dumps, inspect.cleandoc, str.split, sorted])
def test_docstrings_that_others_wrote(function):
    """Prose stays prose."""
    assert parse_docstring(function.__doc__).text.splitlines()[0] == inspect.getdoc(function).splitlines()[0]


@given(st.text(st.sampled_from("Argsx:\n -=param*()  \t"), max_size=200))
def test_any_text_is_taken_apart(text):
    """No docstring is refused, and no description is empty or of more than one line."""
    found = parse_docstring(text)
    assert all(said and "\n" not in said for said in found.names.values())
