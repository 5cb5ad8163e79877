"""An ASGI application that sends everybody to one place: the least that a redirect costs behind uvicorn."""

REPLY = {
    "type": "http.response.start",
    "status": 302,
    "headers": [(b"location", b"http://192.0.2.4/films/"), (b"content-length", b"0")],
}
END = {"type": "http.response.body", "body": b""}


async def application(scope, receive, send):  # type: ignore[no-untyped-def]
    if scope["type"] == "http":
        await send(REPLY)
        await send(END)
