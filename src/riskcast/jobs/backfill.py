"""Windows of a past range, as the schedule would have cut it."""

from __future__ import annotations

from itertools import pairwise

from riskcast.core.errors import SettingsError
from riskcast.core.snapshots import session_tick
from riskcast.core.window import Window
from riskcast.pipelines import SESSION_CLOSE, Pipeline
from riskcast.transforms.sessions import previous_session, xnys_sessions


def windows(pipeline: Pipeline, span: Window) -> list[Window]:
    """Return the windows of the runs whose end lies in the span, ascending.

    One a session for a pipeline that runs by sessions; for any other the span itself, which gives
    the same rows.

    Raises
    ------
    SettingsError
        If no session's run ends in the span.
    """
    if pipeline.schedule != SESSION_CLOSE:
        return [span]
    days = xnys_sessions(span.start.date(), span.end.date())["session"].to_list()
    ends = [tick for tick in map(session_tick, days) if span.holds(tick)]
    if not ends:
        raise SettingsError(
            f"no session of {pipeline.name} ends between {span.start.isoformat()} and "
            f"{span.end.isoformat()}"
        )
    before = session_tick(previous_session(ends[0].date()))
    return [Window(a, b) for a, b in pairwise([before, *ends])]
