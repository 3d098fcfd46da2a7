"""The notes routes. Guards come first in each signature, so a rejected request's body is never read.

`CurrentUser` requires a login, `VerifiedUser` a verified e-mail address, and `RecentLogin` a recent password
check. `app/users/dependencies.py` has more guards.
"""

from typing import Annotated

import msgspec
from hawkapi.routing.router import Router
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Db
from app.notes.models import Note
from app.notes.schemas import NewNote, PublicNote, public
from app.users import CurrentUser, RecentLogin, User, VerifiedUser
from app.users.dependencies import StillLoggedIn
from app.web import Problem, responds
from app.web.pagination import Page, Paging, paginate

router = Router(prefix="/notes", tags=["notes"])

NoteId = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


@router.get("", status_code=200)
async def list_notes(user: CurrentUser, page: Paging, db: Db) -> Page[PublicNote]:
    """List your notes, newest first"""
    mine = select(Note).where(Note.owner_id == user.id)
    return await paginate(db, mine, page, by=[Note.id.desc()], show=public)


@router.post("", status_code=201)
async def create_note(user: VerifiedUser, body: NewNote, still: StillLoggedIn, db: Db) -> PublicNote:
    """Create a note

    Requires a verified e-mail address.
    """
    note = Note(owner_id=user.id, title=body.title, text=body.text)
    db.add(note)
    await db.flush()
    return public(note)


@router.delete("", status_code=204)
async def delete_notes(user: CurrentUser, recent: RecentLogin, db: Db) -> None:
    """Delete all your notes

    This cannot be undone, so it requires a recent login.
    """
    await db.execute(delete(Note).where(Note.owner_id == user.id))


@router.get("/{note_id:int}", status_code=200)
@responds({404: "The note does not exist."})
async def read_note(user: CurrentUser, note_id: NoteId, db: Db) -> PublicNote:
    """Get a note"""
    return public(await _own_note(db, user, note_id))


@router.delete("/{note_id:int}", status_code=204)
@responds({404: "The note does not exist."})
async def delete_note(user: CurrentUser, note_id: NoteId, db: Db) -> None:
    """Delete a note"""
    await db.delete(await _own_note(db, user, note_id))


async def _own_note(db: AsyncSession, user: User, note_id: int) -> Note:
    """The note, if it belongs to the user. Another user's note causes the same 404 as a nonexistent one."""
    note = await db.scalar(select(Note).where(Note.id == note_id, Note.owner_id == user.id))
    if note is None:
        raise Problem(404, "The note does not exist.")
    return note
