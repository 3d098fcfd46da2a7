"""The header that makes browsers save a response as a file. Template-owned."""

from urllib.parse import quote


def attachment(filename: str) -> str:
    """The Content-Disposition header for a download that browsers save as *filename* (RFC 6266, appendix D).

        return Response(content, headers={"Content-Disposition": attachment("Übersicht.pdf")})

    Headers are ASCII text. A name with other characters is therefore sent twice: encoded, and, for old
    browsers, with an underscore in place of each such character.
    """
    plain = "".join(each if " " <= each <= "~" and each not in '"\\' else "_" for each in filename)
    header = f'attachment; filename="{plain}"'
    if plain == filename:
        return header
    return f"{header}; filename*=UTF-8''{quote(filename, safe='', errors='replace')}"
