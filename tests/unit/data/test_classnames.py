import pytest

from frostline.data.classnames import LONGEST, check_class_names


@pytest.mark.parametrize(
    "names",
    [
        ("ants", "bees"),
        ("花", "naïve café", "שלום עולם", "مرحبا", "O'Neill & sons (2)", "<b>", "a.b", "..."),
        ("x" * LONGEST, " padded ", "👩‍🔬", "a\u200fb"),
        (),
    ],
)
def test_ordinary_names_pass(names):
    assert check_class_names(names) == ""


CONTROL = "holds a control character"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a\nb", rf"'a\nb' {CONTROL} (U+000A)"),
        ("a\tb", rf"'a\tb' {CONTROL} (U+0009)"),
        ("\x1b[31mred", rf"'\x1b[31mred' {CONTROL} (U+001B)"),
        ("a\x7f", rf"'a\x7f' {CONTROL} (U+007F)"),
        ("a\x85b", rf"'a\x85b' {CONTROL} (U+0085)"),
        ("a\u2028b", r"'a\u2028b' holds a line separator (U+2028)"),
        ("\ud800", r"'\ud800' holds half a character (U+D800)"),
        *((f"a{chr(code)}b", f"holds U+{code:04X}, which turns") for code in (0x202A, 0x202E, 0x2066, 0x2069)),
        ("a/b", "'a/b' is a path"),
        ("a\\b", r"'a\\b' is a path"),
        ("..", "'..' is a path"),
        ("", "'' is blank"),
        (" \u3000", r"' \u3000' is blank"),
        ("x" * (LONGEST + 1), "has 256 characters, and 255 are allowed"),
    ],
)
def test_names_that_do_harm_are_refused(name, why):
    reason = check_class_names(["fine", name])
    assert why in reason
    assert reason.endswith("rename the folder, or the label in the table")
    assert reason.isprintable()
    assert len(reason) < 200


def test_names_that_look_the_same_are_refused():
    reason = check_class_names(["cafe\u0301", "x", "caf\u00e9"])
    assert reason.startswith(r"the class names 'cafe\u0301' and 'caf\xe9' are the same text, written in two ways")


def test_a_name_twice_is_refused():
    assert check_class_names(["a", "b", "a"]).startswith("the class name 'a' is there twice")
