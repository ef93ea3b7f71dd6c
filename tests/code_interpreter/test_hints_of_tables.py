"""What a session adds to an error about a table: the columns there are, and the usual mend."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qwenbelt.tools import CodeInterpreter

TABLE = (
    "df = pd.DataFrame({'day': ['2024-01-01', 'x'], 'n': [1, None], 'cases': ['1,200', '3[1-5]']})"
)


@pytest.fixture(scope="module")
def session() -> Iterator[CodeInterpreter]:
    tool = CodeInterpreter()
    try:
        tool.call({"code": TABLE})
        yield tool
    finally:
        tool.close()


@pytest.mark.parametrize(
    "code",
    ["df['Day']", "df[['n', 'Cases']]", "df.groupby('n')['Cases'].sum()", "df.drop(columns='N')"],
)
def test_a_missing_column_is_told_with_those_there_are(session: CodeInterpreter, code: str) -> None:
    """A real 1.5B guessed 'GDP per Capita' three times: it is 'Economy (GDP per Capita)'."""
    told = session.call({"code": code})[0].text
    assert "KeyError" in told
    assert told.endswith("Columns: 'day', 'n', 'cases'")


def test_of_many_columns_some_are_told(session: CodeInterpreter) -> None:
    code = "pd.DataFrame({f'column {n}': [n] for n in range(200)})['x']"
    told = session.call({"code": code})[0].text
    assert "'column 0', 'column 1'" in told
    assert told.endswith(", …")
    assert "column 99" not in told


def test_long_names_are_cut_with_a_mark(session: CodeInterpreter) -> None:
    told = session.call({"code": "pd.DataFrame({'n' * 3000: [1]})['x']"})[0].text
    assert told.endswith("nnn, …")


def test_an_object_that_fails_when_it_is_looked_at_is_left_alone(session: CodeInterpreter) -> None:
    code = """
class Trap:
    @property
    def obj(self):
        raise ValueError('looked at')
    def find(self):
        return {}['here']
Trap().find()
"""
    told = session.call({"code": code})[0].text
    assert told.endswith("KeyError: 'here'")


def test_a_key_of_something_else_has_no_columns(session: CodeInterpreter) -> None:
    assert "Columns" not in session.call({"code": "{'a': df}['b']"})[0].text


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("print(df.corr())", "numeric_only=True"),
        ("df.mean()", "numeric_only=True"),
        ("df['cases'].mean()", "str.extract"),
        ("df['cases'].astype(int)", "str.extract"),
        ("df['cases'].astype(float)", "str.extract"),
        ("df['n'].astype(int)", "dropna"),
        ("pd.Series(['1', '-']).astype(float)", "errors='coerce'"),
        ("pd.Series(['1', 'N/A']).astype(float)", "errors='coerce'"),
    ],
)
def test_the_usual_mend_is_told(session: CodeInterpreter, code: str, hint: str) -> None:
    assert hint in session.call({"code": code})[0].text


def test_the_mend_works(session: CodeInterpreter) -> None:
    hint = session.call({"code": "df['cases'].astype(int)"})[0].text.rpartition("else: ")[2]
    code = f"c = 'cases'; t = df; df = df.copy()\n{hint}\nprint(df[c].tolist()); df = t"
    assert session.call({"code": code})[0].text == "[1200, 3]"


def test_plain_python_is_told_nothing_of_columns(session: CodeInterpreter) -> None:
    assert "Hint" not in session.call({"code": "int('3 apples')"})[0].text


def test_a_warning_is_told_without_the_line_of_code(session: CodeInterpreter) -> None:
    """A cell in one line stood in the result again, for each warning."""
    told = session.call({"code": "import warnings; warnings.warn('it is old'); x = 17"})[0].text
    assert told.endswith("UserWarning: it is old")
    assert "x = 17" not in told
