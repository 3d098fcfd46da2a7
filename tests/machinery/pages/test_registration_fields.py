"""Your own fields on the registration page follow the rules of `NewAccount`."""

from typing import Annotated

import msgspec
import pytest
from sqlalchemy import Column, String, insert

from app.pages import forms
from app.pages.forms import InvalidField, RegistrationForm, new_account, taken_values_as_errors
from tests.users.conftest import create_table as create_table


class NewAccount(msgspec.Struct, kw_only=True):
    nickname: Annotated[str, msgspec.Meta(pattern="^[a-z]+$", max_length=5)] | None = None
    birth_year: int | None = None


class Form(RegistrationForm):
    nickname: str = ""
    birth_year: str = ""


@pytest.fixture(autouse=True)
def own_fields(monkeypatch):
    monkeypatch.setattr(forms, "NewAccount", NewAccount)


def test_the_values_have_the_types_of_the_rules():
    form = Form(email="ada@example.com", password=" secret ", nickname=" ada ", birth_year="1815")

    assert new_account(form) == {
        "email": "ada@example.com",
        "password": " secret ",
        "nickname": "ada",
        "birth_year": 1815,
    }


def test_an_empty_field_has_its_default():
    account = new_account(Form(nickname=" "))

    assert (account["nickname"], account["birth_year"]) == (None, None)


@pytest.mark.parametrize(
    ("field", "value"), [("nickname", "Ada"), ("nickname", "adaada"), ("birth_year", "long ago")]
)
def test_a_value_that_breaks_a_rule_is_refused(field, value):
    with pytest.raises(InvalidField) as refused:
        new_account(Form(**{field: value}))

    assert refused.value.field == field


async def test_a_taken_value_is_an_error_of_its_field(db, create_table):
    members = await create_table("members", Column("nickname", String(5), unique=True))

    with pytest.raises(InvalidField) as refused:
        async with db.session() as session:
            await session.execute(insert(members).values(nickname="ada"))
            with taken_values_as_errors():
                await session.execute(insert(members).values(nickname="ada"))

    assert (refused.value.field, str(refused.value)) == ("nickname", "This value is already taken.")
