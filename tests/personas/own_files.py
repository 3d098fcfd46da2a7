"""The personas' own files, which no update may touch."""

NICKNAME_MIGRATION = '''"""nickname of users"""

import sqlalchemy as sa
from alembic import op

revision = "5f0c7a9d1e21"
down_revision = "app_0002"
branch_labels = None
depends_on = ["users_0007"]


def upgrade() -> None:
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.add_column(sa.Column("nickname", sa.String(length=40), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.drop_column("nickname")
'''

NICKNAME_TESTS = '''"""Nicknames: given at registration, seen by their owner."""


async def test_registration_accepts_a_nickname(client, quick_hashing):
    body = {"email": "ada@example.com", "password": "correct horse battery", "nickname": "Countess"}

    answer = await client.post("/users/register", json=body)

    assert answer.json()["nickname"] == "Countess"


async def test_a_password_must_not_contain_the_nickname(client, quick_hashing):
    body = {"email": "ada@example.com", "password": "Countess123!", "nickname": "Countess"}

    answer = await client.post("/users/register", json=body)

    assert answer.status_code == 400
'''

DEVICES_ROUTE = '''

@router.get("/me/devices", status_code=200)
async def count_devices(login: CurrentLogin, users: Users, db: Db) -> Devices:
    """How many browsers and apps you are logged in with"""
    return Devices(count=len(await users.sessions.of_user(db, login.user)))
'''

DEVICES_TESTS = '''"""GET /users/me/devices: how many browsers and apps an account is logged in with."""


async def test_it_counts_logins(client, make_user, login):
    user = await make_user("ada@example.com")
    login(user)

    answer = await client.get("/users/me/devices", headers=login(user))

    assert answer.json() == {"count": 2}


async def test_a_login_is_required(client):
    assert (await client.get("/users/me/devices")).status_code == 401
'''

CUSTOMER_PACKAGE = '''"""What is known about customers, besides their accounts. Ours."""

from app.crm.models import Customer

__all__ = ["Customer"]
'''

CUSTOMER_MODELS = '''"""The table of customers."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.clock import UTCDateTime
from app.database import Base


class Customer(Base):
    """One for each account, made with it."""

    __tablename__ = "customers"

    user_id: Mapped[str] = mapped_column(
        String(36), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    plan: Mapped[str] = mapped_column(String(20), default="free")
    since: Mapped[datetime] = mapped_column(UTCDateTime, default=lambda: clock.now())
'''

CUSTOMER_MIGRATION = '''"""customers"""

import sqlalchemy as sa
from alembic import op

revision = "b51d06f5a3c4"
down_revision = "app_0002"
branch_labels = None
depends_on = ["users_0007"]


def upgrade() -> None:
    op.create_table(
        "customers",
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("plan", sa.String(length=20), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_customers_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_customers")),
    )


def downgrade() -> None:
    op.drop_table("customers")
'''

CUSTOMER_TESTS = '''"""Customers are made in the transaction of the registration."""

import pytest
from sqlalchemy import select

from app.crm import Customer

ADA = {"email": "ada@example.com", "password": "correct horse battery"}

pytestmark = pytest.mark.usefixtures("quick_hashing")


async def test_registration_creates_a_customer(client, db):
    user = (await client.post("/users/register", json=ADA)).json()

    async with db.session() as session:
        customers = list(await session.scalars(select(Customer)))
    assert [(each.user_id, each.plan) for each in customers] == [(user["id"], "free")]


async def test_a_failed_registration_creates_no_customer(client, db):
    await client.post("/users/register", json=ADA)

    await client.post("/users/register", json=ADA)

    async with db.session() as session:
        assert len(list(await session.scalars(select(Customer)))) == 1
'''

SERVED_BY = '''"""Every answer says who serves it, for whoever looks after the load balancer. Ours."""

from app.web.framework.asgi import Application, Message, Receive, Scope, Send


class ServedBy:
    """Adds the header to every answer."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), (b"x-served-by", b"initech")]}
            await send(message)

        await self.app(scope, receive, named)
'''

SERVED_BY_TESTS = '''"""Every answer says who serves it."""


async def test_a_response_names_its_server(client):
    answer = await client.get("/livez")

    assert answer.headers["x-served-by"] == "initech"
'''

ORDERS_PACKAGE = '''"""Orders of customers. Ours."""

from app.orders.routes import router
from app.web import App


def install(app: App) -> None:
    """Mount the routes."""
    app.include_router(router)
'''

ORDERS_MODELS = '''"""The tables of orders."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.clock import UTCDateTime
from app.database import Base


class Order(Base):
    """What somebody bought."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(36), ForeignKey("users.id", ondelete="CASCADE"), index=True)
    ordered_at: Mapped[datetime] = mapped_column(UTCDateTime, default=lambda: clock.now())
    currency: Mapped[str] = mapped_column(String(3), default="EUR")


class OrderLine(Base):
    """A thing that was bought, and how many of it."""

    __tablename__ = "order_lines"

    order_id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"),
        ForeignKey("orders.id", ondelete="CASCADE"),
        primary_key=True,
    )
    sku: Mapped[str] = mapped_column(String(40), primary_key=True)
    pieces: Mapped[int] = mapped_column(Integer)
'''

ORDERS_ROUTES = '''"""The routes of orders."""

import msgspec
from hawkapi.routing.router import Router
from sqlalchemy import select

from app.database import Db
from app.orders.models import Order, OrderLine
from app.users import CurrentUser

router = Router(prefix="/orders", tags=["orders"])


class Line(msgspec.Struct):
    sku: str
    pieces: int


@router.post("", status_code=201)
async def order(user: CurrentUser, body: list[Line], db: Db) -> dict[str, int]:
    """Order things"""
    new = Order(user_id=user.id)
    db.add(new)
    await db.flush()
    db.add_all(OrderLine(order_id=new.id, sku=line.sku, pieces=line.pieces) for line in body)
    return {"id": new.id}


@router.get("", status_code=200)
async def list_orders(user: CurrentUser, db: Db) -> list[int]:
    """Your orders, oldest first"""
    return list(await db.scalars(select(Order.id).where(Order.user_id == user.id).order_by(Order.id)))
'''

ORDERS_TESTS = '''"""Orders belong to whoever made them."""


async def test_an_order_is_listed_only_for_its_owner(client, make_user, login):
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")

    made = await client.post("/orders", json=[{"sku": "tea", "pieces": 2}], headers=login(ada))

    seen = [(await client.get("/orders", headers=login(each))).json() for each in (ada, eve)]
    assert seen == [[made.json()["id"]], []]
'''

ORDERS_MIGRATION = '''"""orders"""

import sqlalchemy as sa
from alembic import op

revision = "1f6f2f5d9a01"
down_revision = "app_0002"
branch_labels = None
depends_on = ["users_0007"]


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("ordered_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_orders_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
    )
    op.create_index(op.f("ix_orders_user_id"), "orders", ["user_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_orders_user_id"), table_name="orders")
    op.drop_table("orders")
'''

ORDER_LINES_MIGRATION = '''"""lines of orders"""

import sqlalchemy as sa
from alembic import op

revision = "6f4b1be0c302"
down_revision = "1f6f2f5d9a01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "order_lines",
        sa.Column("order_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sku", sa.String(length=40), nullable=False),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_order_lines_order_id_orders"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("order_id", "sku", name=op.f("pk_order_lines")),
    )


def downgrade() -> None:
    op.drop_table("order_lines")
'''

CURRENCY_MIGRATION = '''"""orders have a currency"""

import sqlalchemy as sa
from alembic import op

revision = "c2a8e0d77b03"
down_revision = "6f4b1be0c302"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.add_column(sa.Column("currency", sa.String(length=3), nullable=True))
    op.execute("UPDATE orders SET currency = 'EUR'")
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.alter_column("currency", existing_type=sa.String(length=3), nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_column("currency")
'''

GREET = '''"""`app greet`: a command of our own."""

import typer


def greet(name: str) -> None:
    """Say hello."""
    typer.echo(f"Hello {name}.")
'''


OWN_LOOK_TESTS = '''"""The look of the company on every page."""

import re


async def test_every_page_has_the_claim_and_the_imprint(browser):
    for path in ("/", "/login", "/register", "/nowhere"):
        text = (await browser.get(path)).text
        assert '<p class="claim">Paper, ink and more since 1998</p>' in text
        assert '<p class="imprint">Initech Ltd, 1 High Street, Oxford</p>' in text


async def test_the_stylesheet_is_the_own_one(browser):
    path = re.search(r'href="(/static/app\\.[^"]+)"', (await browser.get("/")).text)

    style = (await browser.get(path[1])).text

    assert "--content: 34rem;" in style
    assert ".imprint {" in style
'''
