"""An application for a real server, started by test_server.py in a separate process."""

from hawkapi.responses import StreamingResponse

from app.web import App

app = App(title="Served", version="1.0.0", description="", max_body_size=1000)


@app.get("/json")
async def json() -> dict[str, str]:
    return {"answer": "complete"}


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def forever():
        while True:
            yield b"x" * 1000

    return StreamingResponse(forever())


@app.delete("/nothing", status_code=204)
async def nothing() -> None: ...
