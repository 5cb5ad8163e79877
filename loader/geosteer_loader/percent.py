"""Shares as per cent, in the one form in which every command and message gives them."""

from __future__ import annotations


def percent(share: float, digits: int = 1) -> str:
    """A share (0..1, or more) as text such as `12.5 %`; neither none nor all where it is not, but `<0.1 %` and `>99.9 %`.

    Args: digits: decimal places.
    """
    least = 0.1**digits
    if 0 < share < least / 200:
        return f"<{least:.{digits}f} %"
    if 1 - least / 200 < share < 1:
        return f">{100 - least:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"
