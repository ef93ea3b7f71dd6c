"""A tool with typed arguments that says what it touches, so that calls which may not meet wait."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from qwenbelt import ToolError
from qwenbelt.agents import FnCallAgent, endpoint
from qwenbelt.tools import Tool


class Booking(BaseModel):
    seat: int = Field(description="The seat's number.", ge=1, le=40)
    name: str = Field(description="Who will sit there.")


class BookSeat(Tool):
    name, description, timeout = "book_seat", "Books a seat.", 5.0
    Arguments = Booking
    taken: dict[int, str] = {}  # noqa: RUF012

    def resources(self, arguments: Booking) -> tuple[set[str], set[str]]:
        return set(), {f"seat:{arguments.seat}"}  # reads nothing, writes one seat

    def call(self, params: Any, **kwargs: Any) -> str:
        booking: Booking = self.parse(params)
        if booking.seat in self.taken:
            raise ToolError(f"Seat {booking.seat} is taken; try another one.")
        self.taken[booking.seat] = booking.name
        return f"Seat {booking.seat} is booked for {booking.name}."


if __name__ == "__main__":
    agent = FnCallAgent([BookSeat()], llm=endpoint(otherwise=__file__), approve="auto")
    question = "Book seat 7 for Li and for Anna."
    for message in agent.run_nonstream([{"role": "user", "content": question}]):
        print(message["role"], message["content"] or message.get("function_call"))
